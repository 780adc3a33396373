#include "ops/linear.h"

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/check.h"

namespace tessera::ops {
namespace {

// Rows a thread takes at least: a multiple of every kernel's panel of rows.
constexpr std::int64_t kRowGrain = 16;

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  expect_f32(x, "linear: x");
  expect_rank(x, 2, "linear: x");
  expect_rank(weight, 2, "linear: weight");
  expect_dim(weight, 1, x.dim(1), "linear: weight");
  if (bias.defined()) {
    expect_f32(bias, "linear: bias");
    expect_shape(bias, Shape{weight.dim(0)}, "linear: bias");
  }
  const auto kernel = kernels::active().linear[static_cast<std::size_t>(weight.dtype())];
  if (kernel == nullptr) fail(ErrorKind::internal, "linear: no kernel for {} weights", name(weight.dtype()));

  Tensor y = Tensor::empty({x.dim(0), weight.dim(0)});
  kernels::LinearArguments arguments;
  arguments.input = x.as<float>().data();
  arguments.input_stride = x.dim(1);
  arguments.weight = weight.raw();
  arguments.bias = bias.defined() ? bias.as<float>().data() : nullptr;
  arguments.output = y.as_mutable<float>().data();
  arguments.output_stride = weight.dim(0);
  arguments.tokens = x.dim(0);
  arguments.in_features = x.dim(1);
  thread_pool().parallel_for(weight.dim(0), kRowGrain, [&](std::int64_t begin, std::int64_t end) {
    kernels::LinearArguments part = arguments;
    part.row_begin = begin;
    part.row_end = end;
    kernel(part);
  });
  return y;
}

}  // namespace tessera::ops
