// C = A B and C += A B with bf16 products and float32 sums, for CPUs with AVX512_BF16. Included by one
// translation unit.
//
// Two neighbouring k lie side by side in 32 bits, as vdpbf16ps takes them. B is packed once for all threads,
// kPanelColumns columns a panel; of A each thread rounds kBlockRows rows at a time, eight a strip, which stay
// in the L2 cache while all panels pass by. An element is one chain over ascending pairs of k, however the
// matrices are cut.
#pragma once
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/transpose.h"
#include "kernels/training_table.h"

namespace tessera::kernels::avx512_bf16 {

using avx512::first_lanes;
using avx512::Float;
using avx512::Int;
using avx512::load;
using avx512::load_first;
using avx512::store;
using avx512::transpose_rows;

inline constexpr std::int64_t kLanes = 16;
inline constexpr std::int64_t kPanelColumns = 3 * kLanes;
inline constexpr std::int64_t kPairs = 192;  // of k, in the L1 cache at a time: 36 KiB of a panel
inline constexpr std::int64_t kBlockRows = 192;
inline constexpr std::int64_t kStripRows = 8;  // 8 x 3 sums, 3 vectors of columns and 1 broadcast

static inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
static inline std::int64_t rounded_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
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

// Pairs (low[i], high[i]) as bf16.
static inline Float paired(Float low, Float high) {
  const Int interleave =
      _mm512_setr_epi32(0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007,
                        0x180008, 0x190009, 0x1a000a, 0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f);
  return as_float(_mm512_permutexvar_epi16(interleave, (Int)_mm512_cvtne2ps_pbh(high, low)));
}

// Calls keep(pair, (x[i, 2 pair], x[i, 2 pair + 1]) of sixteen i) for every pair; i from `count` on and k
// from `depth` on are zero. x is read through its two strides, one of which should be 1.
template <typename Keep>
TESSERA_INLINE void pack_sixteen(const float* x, std::int64_t stride_i, std::int64_t stride_k,
                                 std::int64_t depth, std::int64_t count, Keep keep) {
  if (stride_i == 1) {
    const auto mask = count >= kLanes ? static_cast<__mmask16>(0xffff) : first_lanes(count);
    std::int64_t k = 0;
    for (; k + 2 <= depth; k += 2) {
      const float* p = x + k * stride_k;
      keep(k / 2, paired(_mm512_maskz_loadu_ps(mask, p), _mm512_maskz_loadu_ps(mask, p + stride_k)));
    }
    if (k < depth) {
      keep(k / 2, paired(_mm512_maskz_loadu_ps(mask, x + k * stride_k), _mm512_setzero_ps()));
    }
    return;
  }
  for (std::int64_t k = 0; k < depth; k += 2 * kLanes) {
    const std::int64_t values = smaller(2 * kLanes, depth - k);
    const float* p = x + k;
    if (values == 2 * kLanes && count >= kLanes) {
      transpose_rows([&](int row) TESSERA_LAMBDA { return row_pairs(p + row * stride_i, 2 * kLanes); },
                     [&](int pair, Float v) TESSERA_LAMBDA { keep(k / 2 + pair, v); });
      continue;
    }
    transpose_rows(
        [&](int row) TESSERA_LAMBDA {
          return row < count ? row_pairs(p + row * stride_i, values) : _mm512_setzero_ps();
        },
        [&](int pair, Float v) TESSERA_LAMBDA {
          if (2 * pair < values) keep(k / 2 + pair, v);
        });
  }
}

// Rows of k that are packed at a time: neighbouring columns lie in neighbouring memory.
inline constexpr std::int64_t kSlice = 4 * kLanes;

// Rows [depth_begin, depth_end) of B, depth_begin even, into panels[panel][pair][kPanelColumns]. Of the last
// panel only the vectors that have columns are written.
static void pack_panels(const GemmArguments& g, std::int64_t depth_begin, std::int64_t depth_end,
                        float* panels) {
  const std::int64_t pairs = (g.depth + 1) / 2;
  for (std::int64_t k = depth_begin; k < depth_end; k += kSlice) {
    for (std::int64_t column = 0; column < g.columns; column += kLanes) {
      float* target = panels + column / kPanelColumns * kPanelColumns * pairs + column % kPanelColumns +
                      k / 2 * kPanelColumns;
      pack_sixteen(g.b + k * g.b_depth_stride + column * g.b_column_stride, g.b_column_stride,
                   g.b_depth_stride, smaller(kSlice, depth_end - k), g.columns - column,
                   [&](std::int64_t pair, Float v)
                       TESSERA_LAMBDA { store(target + pair * kPanelColumns, v); });
    }
  }
}

// `rows` rows of A and `depth` of its columns from `a` on, into strips[strip][pair][kStripRows].
static void pack_strips(const GemmArguments& g, const float* a, std::int64_t rows, std::int64_t depth,
                        float* strips) {
  const std::int64_t pairs = (depth + 1) / 2;
  for (std::int64_t row = 0; row < rows; row += kLanes) {
    float* upper = strips + row * pairs;
    float* lower = upper + kStripRows * pairs;
    const bool both = rows - row > kStripRows;
    pack_sixteen(a + row * g.a_row_stride, g.a_row_stride, g.a_depth_stride, depth, rows - row,
                 [&](std::int64_t pair, Float v) TESSERA_LAMBDA {
                   _mm256_storeu_ps(upper + pair * kStripRows, _mm512_castps512_ps256(v));
                   if (both) _mm256_storeu_ps(lower + pair * kStripRows, _mm512_extractf32x8_ps(v, 1));
                 });
  }
}

struct Tile {
  const float* strip;  // pairs, [pair][kStripRows]
  const float* panel;  // [pair][kPanelColumns]
  std::int64_t pairs;
  float* c;
  std::int64_t c_stride;
  std::int64_t rows;     // of C that exist, at most kStripRows
  std::int64_t columns;  // likewise, in the last of kVectors at least one
  bool accumulate;
};

template <int kVectors>
static void gemm_tile(const Tile& tile) {
  Float sums[kStripRows][kVectors];
  const auto last = tile.columns >= kVectors * kLanes ? static_cast<__mmask16>(0xffff)
                                                      : first_lanes(tile.columns - (kVectors - 1) * kLanes);
  const auto mask = [&](int v) TESSERA_LAMBDA { return v + 1 < kVectors ? __mmask16{0xffff} : last; };
  TESSERA_UNROLL
  for (int r = 0; r < kStripRows; ++r) {
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const bool there = tile.accumulate && r < tile.rows;
      sums[r][v] = there ? _mm512_maskz_loadu_ps(mask(v), tile.c + r * tile.c_stride + v * kLanes)
                         : _mm512_setzero_ps();
    }
  }
  const float* strip = tile.strip;
  const float* panel = tile.panel;
  for (std::int64_t pair = 0; pair < tile.pairs; ++pair) {
    __m512bh columns[kVectors];
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) columns[v] = (__m512bh)load(panel + v * kLanes);
    TESSERA_UNROLL
    for (int r = 0; r < kStripRows; ++r) {
      const auto x = (__m512bh)_mm512_set1_ps(strip[r]);
      TESSERA_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], x, columns[v]);
    }
    strip += kStripRows;
    panel += kPanelColumns;
  }
  TESSERA_UNROLL
  for (int r = 0; r < kStripRows; ++r) {
    if (r >= tile.rows) break;
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      _mm512_mask_storeu_ps(tile.c + r * tile.c_stride + v * kLanes, mask(v), sums[r][v]);
    }
  }
}

// A block of rows beside one panel.
static void gemm_strips(Tile tile, std::int64_t rows) {
  const auto kernel = tile.columns > 2 * kLanes ? gemm_tile<3>
                      : tile.columns > kLanes   ? gemm_tile<2>
                                                : gemm_tile<1>;
  for (std::int64_t row = 0; row < rows; row += kStripRows) {
    tile.rows = smaller(kStripRows, rows - row);
    kernel(tile);
    tile.strip += tile.pairs * kStripRows;
    tile.c += kStripRows * tile.c_stride;
  }
}

// All of C by panels that pack_panels made of all of B. A block of rows meets all of k before the next, so
// that its sums stay in the cache.
static void gemm_panels(const GemmArguments& g, const float* panels) {
  alignas(64) static thread_local float strips[kBlockRows * kPairs];
  const std::int64_t pairs = (g.depth + 1) / 2;
  for (std::int64_t row = 0; row < g.rows; row += kBlockRows) {
    const std::int64_t rows = smaller(kBlockRows, g.rows - row);
    for (std::int64_t k = 0; k < g.depth; k += 2 * kPairs) {
      const std::int64_t depth = smaller(2 * kPairs, g.depth - k);
      pack_strips(g, g.a + row * g.a_row_stride + k * g.a_depth_stride, rows, depth, strips);
      for (std::int64_t column = 0; column < g.columns; column += kPanelColumns) {
        gemm_strips({.strip = strips,
                     .panel = panels + column * pairs + k / 2 * kPanelColumns,
                     .pairs = (depth + 1) / 2,
                     .c = g.c + row * g.c_stride + column,
                     .c_stride = g.c_stride,
                     .rows = 0,
                     .columns = smaller(kPanelColumns, g.columns - column),
                     .accumulate = g.accumulate || k > 0},
                    rows);
      }
    }
  }
}

// B a few panels at a time, in this thread's memory.
static void gemm(const GemmArguments& g) {
  for (std::int64_t i = 0; g.depth == 0 && !g.accumulate && i < g.rows; ++i) {
    for (std::int64_t j = 0; j < g.columns; ++j) g.c[i * g.c_stride + j] = 0.0F;
  }
  constexpr std::int64_t kColumns = 4 * kPanelColumns;
  for (std::int64_t k = 0; k < g.depth; k += 2 * kPairs) {
    for (std::int64_t column = 0; column < g.columns; column += kColumns) {
      GemmArguments part = g;
      part.a += k * g.a_depth_stride;
      part.b += k * g.b_depth_stride + column * g.b_column_stride;
      part.c += column;
      part.depth = smaller(2 * kPairs, g.depth - k);
      part.columns = smaller(kColumns, g.columns - column);
      part.accumulate = g.accumulate || k > 0;
      float* panels = thread_scratch(kPairs * kColumns);
      pack_panels(part, 0, part.depth, panels);
      gemm_panels(part, panels);
    }
  }
}

}  // namespace tessera::kernels::avx512_bf16
