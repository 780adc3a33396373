#include "ops/matrix_product.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/training_table.h"
#include "ops/check.h"
#include "ops/grain.h"

namespace tessera::ops {
namespace {

thread_local MatmulPrecision active_precision = MatmulPrecision::f32;

// Borders at which no kernel's tile is cut, and the work below which a second thread is not worth waking.
constexpr std::int64_t kRowGrain = 24;
constexpr std::int64_t kColumnGrain = 32;
constexpr std::int64_t kLeastProducts = 256 * 1024;

// How much longer the busiest thread works than the average one.
double imbalance(std::int64_t count, std::int64_t grain) {
  const std::int64_t threads = thread_pool().size();
  const std::int64_t pieces = (count + grain - 1) / grain;
  const std::int64_t most = (pieces + threads - 1) / threads * grain;
  return static_cast<double>(std::min(most, count) * threads) / static_cast<double>(count);
}

// Of B, as much as is packed at a time: 8 MiB, in depth before columns, since each pass over the columns
// reads A again and each over the depth C.
constexpr std::int64_t kPackedFloats = std::int64_t{2} << 20;
constexpr std::int64_t kPackedDepth = 4608;  // a multiple of every kernel's own step

void multiply_by_panels(const kernels::PanelGemm& kernel, const kernels::GemmArguments& g, float* panels) {
  constexpr std::int64_t kPackGrain = 32;
  thread_pool().parallel_for(
      g.depth, kPackGrain, [&](std::int64_t begin, std::int64_t end) { kernel.pack(g, begin, end, panels); });
  thread_pool().parallel_for(g.rows, kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    kernels::GemmArguments part = g;
    part.a += begin * g.a_row_stride;
    part.c += begin * g.c_stride;
    part.rows = end - begin;
    kernel.multiply(part, panels);
  });
}

void panel_product(const kernels::PanelGemm& kernel, const kernels::GemmArguments& whole) {
  static thread_local std::vector<float> memory;
  constexpr std::int64_t kLine = 16;
  const std::int64_t depth = std::min(whole.depth, kPackedDepth);
  const std::int64_t fitting = kPackedFloats / kernel.floats(depth, 1) * kernel.panel_columns;
  const std::int64_t columns = std::min(whole.columns, fitting);
  const auto floats = static_cast<std::size_t>(kernel.floats(depth, columns) + kLine);
  if (memory.size() < floats) memory.resize(floats);
  void* aligned = memory.data();
  std::size_t space = memory.size() * sizeof(float);
  auto* panels = static_cast<float*>(std::align(64, (floats - kLine) * sizeof(float), aligned, space));
  for (std::int64_t k = 0; k < whole.depth; k += depth) {
    for (std::int64_t column = 0; column < whole.columns; column += columns) {
      kernels::GemmArguments part = whole;
      part.a += k * whole.a_depth_stride;
      part.b += k * whole.b_depth_stride + column * whole.b_column_stride;
      part.c += column;
      part.depth = std::min(depth, whole.depth - k);
      part.columns = std::min(columns, whole.columns - column);
      part.accumulate = whole.accumulate || k > 0;
      multiply_by_panels(kernel, part, panels);
    }
  }
}

}  // namespace

ConstMatrixView view(const Tensor& matrix) {
  expect_f32(matrix, "matrix");
  expect_rank(matrix, 2, "matrix");
  return {matrix.as<float>().data(), matrix.dim(0), matrix.dim(1), matrix.dim(1), 1};
}

MatmulPrecisionScope::MatmulPrecisionScope(MatmulPrecision precision)
    : outer_(std::exchange(active_precision, precision)) {}
MatmulPrecisionScope::~MatmulPrecisionScope() { active_precision = outer_; }

MatmulPrecision matmul_precision() { return active_precision; }

bool has_fast_bf16() {
  constexpr auto kBf16 = static_cast<std::size_t>(kernels::GemmPrecision::bf16);
  return kernels::active_training().gemm[kBf16] != kernels::training_table(Isa::scalar).gemm[kBf16];
}

void matrix_product(const ConstMatrixView& a, const ConstMatrixView& b, float* c, std::int64_t c_stride,
                    bool accumulate) {
  const ProfileTimer timer("matrix_product");
  if (a.columns != b.rows) {
    fail(ErrorKind::internal, "matrix_product: [{}, {}] by [{}, {}]", a.rows, a.columns, b.rows, b.columns);
  }
  if (a.rows == 0 || b.columns == 0) return;
  const kernels::GemmArguments whole{.a = a.data,
                                     .a_row_stride = a.row_stride,
                                     .a_depth_stride = a.column_stride,
                                     .b = b.data,
                                     .b_depth_stride = b.row_stride,
                                     .b_column_stride = b.column_stride,
                                     .c = c,
                                     .c_stride = c_stride,
                                     .rows = a.rows,
                                     .columns = b.columns,
                                     .depth = a.columns,
                                     .accumulate = accumulate};
  const auto kernel = kernels::active_training().gemm[static_cast<std::size_t>(active_precision)];
  if (a.rows * a.columns * b.columns < kLeastProducts) return kernel(whole);
  const kernels::PanelGemm& panels = kernels::active_training().panel_gemm_bf16;
  if (active_precision == MatmulPrecision::bf16 && panels.panel_columns > 0) {
    return panel_product(panels, whole);
  }
  // Columns for choice: then each thread packs only the columns it needs.
  if (imbalance(b.columns, kColumnGrain) <= imbalance(a.rows, kRowGrain) + 0.1) {
    thread_pool().parallel_for(b.columns, kColumnGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::GemmArguments part = whole;
      part.b += begin * b.column_stride;
      part.c += begin;
      part.columns = end - begin;
      kernel(part);
    });
  } else {
    thread_pool().parallel_for(a.rows, kRowGrain, [&](std::int64_t begin, std::int64_t end) {
      kernels::GemmArguments part = whole;
      part.a += begin * a.row_stride;
      part.c += begin * c_stride;
      part.rows = end - begin;
      kernel(part);
    });
  }
}

void add_row_sums(const ConstMatrixView& x, float* total) {
  const auto add_to = kernels::active_training().add_to;
  constexpr std::int64_t kLine = 16;
  const std::int64_t grain = std::max(kLine, row_grain(x.rows) / kLine * kLine);
  thread_pool().parallel_for(x.columns, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < x.rows; ++row) {
      add_to(total + begin, x.data + row * x.row_stride + begin, end - begin);
    }
  });
}

}  // namespace tessera::ops
