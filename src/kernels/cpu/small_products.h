// Products of the small matrices that linear attention is made of: rows of whole vectors, beside each other
// in the caches. Included by the translation units of one ISA after its vector header.
#pragma once
#include "kernels/cpu/unroll.h"
#include "kernels/linear_attention_table.h"

namespace tessera::kernels::TESSERA_ISA {

// C (+)= A B; A is read through two strides, rows of B and C are whole vectors. One element is one chain of
// multiply-adds over ascending depth, whatever the other rows are.
struct SmallProduct {
  const float* a;
  std::int64_t a_row_stride;
  std::int64_t a_depth_stride;
  const float* b;
  std::int64_t b_stride;
  float* c;
  std::int64_t c_stride;
  std::int64_t rows;
  std::int64_t columns;  // a multiple of 16
  std::int64_t depth;
  bool accumulate = false;
};

template <int kRows, int kVectors>
static void small_product_tile(const SmallProduct& p, std::int64_t row, std::int64_t column) {
  Float sums[kRows][kVectors];
  float* c = p.c + row * p.c_stride + column;
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = p.accumulate ? load(c + r * p.c_stride + v * kLanes) : zero();
    }
  }
  const float* a = p.a + row * p.a_row_stride;
  const float* b = p.b + column;
  for (std::int64_t k = 0; k < p.depth; ++k) {
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Float x = broadcast(a[r * p.a_row_stride]);
      TESSERA_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[r][v] = multiply_add(x, load(b + v * kLanes), sums[r][v]);
    }
    a += p.a_depth_stride;
    b += p.b_stride;
  }
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) store(c + r * p.c_stride + v * kLanes, sums[r][v]);
  }
}

template <int kVectors>
static void small_product_columns(const SmallProduct& p, std::int64_t column) {
  std::int64_t row = 0;
  for (; row + 4 <= p.rows; row += 4) small_product_tile<4, kVectors>(p, row, column);
  for (; row < p.rows; ++row) small_product_tile<1, kVectors>(p, row, column);
}

static void small_product(const SmallProduct& p) {
  constexpr int kFewest = static_cast<int>(16 / kLanes);
  std::int64_t column = 0;
  if constexpr (kLanes == 16) {
    for (; column + 64 <= p.columns; column += 64) small_product_columns<4>(p, column);
  }
  for (; column < p.columns; column += 16) small_product_columns<kFewest>(p, column);
}

TESSERA_INLINE float dot_rows(const float* a, const float* b, std::int64_t width) {
  Float sums = zero();
  for (std::int64_t i = 0; i < width; i += kLanes) sums = multiply_add(load(a + i), load(b + i), sums);
  return sum_lanes(sums);
}

// y += factor x.
TESSERA_INLINE void add_row(float factor, const float* x, float* y, std::int64_t width) {
  const Float f = broadcast(factor);
  for (std::int64_t i = 0; i < width; i += kLanes) store(y + i, multiply_add(f, load(x + i), load(y + i)));
}

// c[r][d] = a[r] . b[d] for rows of `width`: A times the transpose of B.
static void product_transposed(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_rows,
                               std::int64_t width, float* c, std::int64_t rows) {
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* left = a + r * a_stride;
    for (std::int64_t d = 0; d < b_rows; d += 4) {  // rows of B are padded to a multiple of 16
      const float* right = b + d * width;
      Float sums[4] = {zero(), zero(), zero(), zero()};
      for (std::int64_t i = 0; i < width; i += kLanes) {
        const Float x = load(left + i);
        TESSERA_UNROLL
        for (int n = 0; n < 4; ++n) sums[n] = multiply_add(x, load(right + n * width + i), sums[n]);
      }
      TESSERA_UNROLL
      for (int n = 0; n < 4; ++n) c[r * b_rows + d + n] = sum_lanes(sums[n]);
    }
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
