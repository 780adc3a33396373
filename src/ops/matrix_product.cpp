#include "ops/matrix_product.h"

#include <algorithm>
#include <utility>

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
