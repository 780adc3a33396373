// C = A B and C += A B with bf16 products and float32 sums, for CPUs with AVX512_BF16. Included by one
// translation unit.
//
// Two neighbouring k lie side by side in 32 bits, as vdpbf16ps takes them. B goes into panels as in gemm.h;
// of A, kBlockRows rows are rounded at a time and stay in the L2 cache while all panels pass by. An element
// is one chain over ascending pairs of k, however the matrices are cut.
#pragma once
#include "kernels/cpu/transpose.h"
#include "kernels/training_table.h"

namespace tessera::kernels::avx512_bf16 {

using avx512::first_lanes;
using avx512::Float;
using avx512::Int;
using avx512::load;
using avx512::load_first;
using avx512::store;
using avx512::store_first;
using avx512::transpose_square;

inline constexpr std::int64_t kLanes = 16;
inline constexpr std::int64_t kPanelColumns = 2 * kLanes;
inline constexpr std::int64_t kPairs = 256;  // pairs of k that a panel holds
inline constexpr std::int64_t kBlockRows = 480;
inline constexpr int kTileRows = 12;

static inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

static inline Float load_first_or_all(const float* p, std::int64_t count) {
  return count == kLanes ? load(p) : load_first(p, count);
}

// Pairs of (low, high) as bf16, lane by lane.
static inline Int paired(Float low, Float high) {
  const __m256i a = (__m256i)_mm512_cvtneps_pbh(low);
  const __m256i b = (__m256i)_mm512_cvtneps_pbh(high);
  return _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}

static inline Float as_float(Int v) { return _mm512_castsi512_ps(v); }

// Sixteen pairs of one row whose k lie next to each other; those from `count` values on are zero.
static inline Float row_pairs(const float* p, std::int64_t count) {
  const Float low = count >= kLanes ? load(p) : load_first(p, count);
  const Float high = count >= 2 * kLanes ? load(p + kLanes)
                     : count > kLanes    ? load_first(p + kLanes, count - kLanes)
                                         : _mm512_setzero_ps();
  return as_float((Int)_mm512_cvtne2ps_pbh(high, low));
}

// target[pair * stride + i] = (x[i, 2 pair], x[i, 2 pair + 1]) for i < count, zero up to `padded` (16 or 32).
// x is read through its two strides, one of which should be 1.
static void pack_columns(const float* x, std::int64_t stride_i, std::int64_t stride_k, std::int64_t depth,
                         std::int64_t count, std::int64_t padded, float* target, std::int64_t stride) {
  alignas(64) float square[kLanes * kLanes];
  for (std::int64_t i = 0; i < padded; i += kLanes) {
    const std::int64_t here = count - i < kLanes ? (count > i ? count - i : 0) : kLanes;
    if (stride_i == 1) {
      for (std::int64_t k = 0; k < depth; k += 2) {
        const float* p = x + k * stride_k + i;
        const Float low = load_first_or_all(p, here);
        const Float high = k + 1 < depth ? load_first_or_all(p + stride_k, here) : _mm512_setzero_ps();
        store(target + k / 2 * stride + i, as_float(paired(low, high)));
      }
      continue;
    }
    for (std::int64_t k = 0; k < depth; k += 2 * kLanes) {
      const std::int64_t values = smaller(2 * kLanes, depth - k);
      for (std::int64_t r = 0; r < kLanes; ++r) {
        const float* p = x + (i + r) * stride_i + k;
        store(square + r * kLanes, r < here ? row_pairs(p, values) : _mm512_setzero_ps());
      }
      if (values == 2 * kLanes) {
        transpose_square(square, kLanes, target + k / 2 * stride + i, stride);
      } else {
        for (std::int64_t pair = 0; pair < (values + 1) / 2; ++pair) {
          for (std::int64_t r = 0; r < kLanes; ++r) {
            __builtin_memcpy(target + (k / 2 + pair) * stride + i + r, square + r * kLanes + pair,
                             sizeof(float));
          }
        }
      }
    }
  }
}

struct Tile {
  const float* a;  // pairs, [pair][kBlockRows]
  const float* panel;
  std::int64_t pairs;
  float* c;
  std::int64_t c_stride;
  std::int64_t columns;
  bool accumulate;
};

template <int kRows>
static void gemm_tile(const Tile& tile) {
  Float sums[kRows][2];
  const auto left_mask = tile.columns >= kLanes ? static_cast<__mmask16>(0xffff) : first_lanes(tile.columns);
  const auto right_mask = tile.columns >= 2 * kLanes ? static_cast<__mmask16>(0xffff)
                          : tile.columns > kLanes    ? first_lanes(tile.columns - kLanes)
                                                     : static_cast<__mmask16>(0);
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const float* c = tile.c + r * tile.c_stride;
    sums[r][0] = tile.accumulate ? _mm512_maskz_loadu_ps(left_mask, c) : _mm512_setzero_ps();
    sums[r][1] = tile.accumulate ? _mm512_maskz_loadu_ps(right_mask, c + kLanes) : _mm512_setzero_ps();
  }
  const float* a = tile.a;
  const float* panel = tile.panel;
  for (std::int64_t pair = 0; pair < tile.pairs; ++pair) {
    const auto left = (__m512bh)load(panel);
    const auto right = (__m512bh)load(panel + kLanes);
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const auto x = (__m512bh)_mm512_set1_ps(a[r]);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], x, left);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], x, right);
    }
    a += kBlockRows;
    panel += kPanelColumns;
  }
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    float* c = tile.c + r * tile.c_stride;
    _mm512_mask_storeu_ps(c, left_mask, sums[r][0]);
    if (right_mask != 0) _mm512_mask_storeu_ps(c + kLanes, right_mask, sums[r][1]);
  }
}

static void gemm_rows(Tile tile, std::int64_t rows) {
  std::int64_t row = 0;
  const float* a = tile.a;
  float* c = tile.c;
  const auto step = [&](auto kernel, std::int64_t count) {
    for (; row + count <= rows; row += count) {
      tile.a = a + row;
      tile.c = c + row * tile.c_stride;
      kernel(tile);
    }
  };
  step(gemm_tile<kTileRows>, kTileRows);
  step(gemm_tile<8>, 8);
  step(gemm_tile<4>, 4);
  step(gemm_tile<2>, 2);
  step(gemm_tile<1>, 1);
}

static void gemm(const GemmArguments& g) {
  alignas(64) static thread_local float panel[kPairs * kPanelColumns];
  alignas(64) static thread_local float block[kPairs * kBlockRows];
  for (std::int64_t i = 0; g.depth == 0 && !g.accumulate && i < g.rows; ++i) {
    for (std::int64_t j = 0; j < g.columns; ++j) g.c[i * g.c_stride + j] = 0.0F;
  }
  for (std::int64_t k = 0; k < g.depth; k += 2 * kPairs) {
    const std::int64_t depth = smaller(2 * kPairs, g.depth - k);
    for (std::int64_t row = 0; row < g.rows; row += kBlockRows) {
      const std::int64_t rows = smaller(kBlockRows, g.rows - row);
      pack_columns(g.a + row * g.a_row_stride + k * g.a_depth_stride, g.a_row_stride, g.a_depth_stride, depth,
                   rows, (rows + kLanes - 1) / kLanes * kLanes, block, kBlockRows);
      for (std::int64_t column = 0; column < g.columns; column += kPanelColumns) {
        const std::int64_t columns = smaller(kPanelColumns, g.columns - column);
        pack_columns(g.b + k * g.b_depth_stride + column * g.b_column_stride, g.b_column_stride,
                     g.b_depth_stride, depth, columns, kPanelColumns, panel, kPanelColumns);
        gemm_rows({.a = block,
                   .panel = panel,
                   .pairs = (depth + 1) / 2,
                   .c = g.c + row * g.c_stride + column,
                   .c_stride = g.c_stride,
                   .columns = columns,
                   .accumulate = g.accumulate || k > 0},
                  rows);
      }
    }
  }
}

}  // namespace tessera::kernels::avx512_bf16
