// C = A B and C += A B in float32 for one ISA, in every orientation. Included by its translation units after
// the vector header.
//
// B is copied panel by panel, kPanelColumns columns and kGemmDepth steps of k at a time, into the order it is
// read in; a panel stays in the L1 cache while all rows of A pass by it. A is read where it lies: each of its
// elements is broadcast once a panel. A tile of C stays in registers for the depth of a panel, and the next
// panel's chain goes on from what is stored, so an element is one chain of fused multiply-adds however the
// matrices are cut.
#pragma once
#include "kernels/cpu/transpose.h"
#include "kernels/training_table.h"

namespace tessera::kernels::TESSERA_ISA {

inline constexpr std::int64_t kPanelColumns = 2 * kLanes;
inline constexpr std::int64_t kGemmDepth = 256;
// Rows of a tile: 12 x 2 sums, 2 columns and 1 broadcast in 32 registers, or 6 x 2 in 16.
inline constexpr int kGemmRows = kLanes == 16 ? 12 : 6;

// packed[k][j] = B[k, column + j]; columns from `columns` on are zero.
static void pack_panel(const GemmArguments& g, std::int64_t first_depth, std::int64_t depth,
                       std::int64_t column, std::int64_t columns, float* packed) {
  const float* b = g.b + first_depth * g.b_depth_stride + column * g.b_column_stride;
  if (g.b_column_stride == 1 && columns == kPanelColumns) {
    for (std::int64_t k = 0; k < depth; ++k) {
      const float* row = b + k * g.b_depth_stride;
      store(packed + k * kPanelColumns, load(row));
      store(packed + k * kPanelColumns + kLanes, load(row + kLanes));
    }
    return;
  }
  std::int64_t k = 0;
  if (g.b_depth_stride == 1 && columns == kPanelColumns) {
    for (; k + kLanes <= depth; k += kLanes) {
      float* target = packed + k * kPanelColumns;
      transpose_square(b + k, g.b_column_stride, target, kPanelColumns);
      transpose_square(b + k + kLanes * g.b_column_stride, g.b_column_stride, target + kLanes, kPanelColumns);
    }
  }
  for (; k < depth; ++k) {
    float* target = packed + k * kPanelColumns;
    for (std::int64_t j = 0; j < kPanelColumns; ++j) {
      target[j] = j < columns ? b[k * g.b_depth_stride + j * g.b_column_stride] : 0.0F;
    }
  }
}

struct GemmTile {
  const float* a;
  std::int64_t a_row_stride;
  std::int64_t a_depth_stride;
  const float* panel;
  std::int64_t depth;
  float* c;
  std::int64_t c_stride;
  std::int64_t columns;  // of C that exist, at most kPanelColumns
  bool accumulate;
};

// kRows x kPanelColumns of C.
template <int kRows>
static void gemm_tile(const GemmTile& tile) {
  Float sums[kRows][2];
  const std::int64_t columns = tile.columns;
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const float* c = tile.c + r * tile.c_stride;
    if (!tile.accumulate) {
      sums[r][0] = sums[r][1] = zero();
    } else if (columns == kPanelColumns) {
      sums[r][0] = load(c);
      sums[r][1] = load(c + kLanes);
    } else {
      sums[r][0] = columns >= kLanes ? load(c) : load_first(c, columns);
      sums[r][1] = columns > kLanes ? load_first(c + kLanes, columns - kLanes) : zero();
    }
  }
  const float* a = tile.a;
  const float* panel = tile.panel;
  const std::int64_t stride = tile.a_row_stride;
  for (std::int64_t k = 0; k < tile.depth; ++k) {
    const Float left = load(panel);
    const Float right = load(panel + kLanes);
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Float x = broadcast(a[r * stride]);
      sums[r][0] = multiply_add(x, left, sums[r][0]);
      sums[r][1] = multiply_add(x, right, sums[r][1]);
    }
    a += tile.a_depth_stride;
    panel += kPanelColumns;
  }
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    float* c = tile.c + r * tile.c_stride;
    if (columns == kPanelColumns) {
      store(c, sums[r][0]);
      store(c + kLanes, sums[r][1]);
    } else {
      if (columns >= kLanes) {
        store(c, sums[r][0]);
        if (columns > kLanes) store_first(c + kLanes, sums[r][1], columns - kLanes);
      } else {
        store_first(c, sums[r][0], columns);
      }
    }
  }
}

// All rows of C beside one panel.
static void gemm_panel(const GemmArguments& g, GemmTile tile) {
  std::int64_t row = 0;
  const float* a = tile.a;
  float* c = tile.c;
  const auto step = [&](auto kernel, std::int64_t rows) {
    for (; row + rows <= g.rows; row += rows) {
      tile.a = a + row * tile.a_row_stride;
      tile.c = c + row * tile.c_stride;
      kernel(tile);
    }
  };
  step(gemm_tile<kGemmRows>, kGemmRows);
  if constexpr (kGemmRows > 8) step(gemm_tile<8>, 8);
  step(gemm_tile<4>, 4);
  step(gemm_tile<2>, 2);
  step(gemm_tile<1>, 1);
}

static void gemm(const GemmArguments& g) {
  alignas(64) static thread_local float panel[kGemmDepth * kPanelColumns];
  if (g.depth == 0 && !g.accumulate) {
    for (std::int64_t i = 0; i < g.rows; ++i) {
      for (std::int64_t j = 0; j < g.columns; ++j) g.c[i * g.c_stride + j] = 0.0F;
    }
  }
  for (std::int64_t column = 0; column < g.columns; column += kPanelColumns) {
    const std::int64_t columns = g.columns - column < kPanelColumns ? g.columns - column : kPanelColumns;
    for (std::int64_t k = 0; k < g.depth; k += kGemmDepth) {
      const std::int64_t depth = g.depth - k < kGemmDepth ? g.depth - k : kGemmDepth;
      pack_panel(g, k, depth, column, columns, panel);
      gemm_panel(g, {.a = g.a + k * g.a_depth_stride,
                     .a_row_stride = g.a_row_stride,
                     .a_depth_stride = g.a_depth_stride,
                     .panel = panel,
                     .depth = depth,
                     .c = g.c + column,
                     .c_stride = g.c_stride,
                     .columns = columns,
                     .accumulate = g.accumulate || k > 0});
    }
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
