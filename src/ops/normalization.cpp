#include "ops/normalization.h"

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/backward.h"
#include "ops/check.h"
#include "ops/grain.h"

namespace tessera::ops {
namespace {

// Length of the innermost dimension, which weight must match.
std::int64_t checked_width(const Tensor& x, const Tensor& weight) {
  expect_f32(x, "norm: x");
  expect_f32(weight, "norm: weight");
  if (x.rank() == 0) fail(ErrorKind::internal, "norm: expected at least one dimension, found a scalar");
  expect_shape(weight, Shape{x.dim(-1)}, "norm: weight");
  return x.dim(-1);
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, float epsilon, bool add_one) {
  const ProfileTimer timer("rms_norm");
  const std::int64_t width = checked_width(x, weight);
  Tensor y = Tensor::empty(x.shape());
  if (width == 0) return y;
  const auto kernel = kernels::active().rms_norm;
  const float* source = x.as<float>().data();
  const float* scale = weight.as<float>().data();
  float* target = y.as_mutable<float>().data();
  const float offset = add_one ? 1.0F : 0.0F;
  thread_pool().parallel_for(
      x.elements() / width, row_grain(width), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          kernel(source + row * width, scale, target + row * width, width, epsilon, offset);
        }
      });
  if (autograd::Tape* tape = autograd::tape_for({&x, &weight})) {
    record_rms_norm(*tape, x, weight, y, epsilon, add_one);
  }
  return y;
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float epsilon) {
  const ProfileTimer timer("layer_norm");
  const std::int64_t width = checked_width(x, weight);
  if (bias.defined()) {
    expect_f32(bias, "norm: bias");
    expect_shape(bias, Shape{width}, "norm: bias");
  }
  Tensor y = Tensor::empty(x.shape());
  if (width == 0) return y;
  const auto kernel = kernels::active().layer_norm;
  const float* source = x.as<float>().data();
  const float* scale = weight.as<float>().data();
  const float* shift = bias.defined() ? bias.as<float>().data() : nullptr;
  float* target = y.as_mutable<float>().data();
  thread_pool().parallel_for(
      x.elements() / width, row_grain(width), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          kernel(source + row * width, scale, shift, target + row * width, width, epsilon);
        }
      });
  if (autograd::Tape* tape = autograd::tape_for({&x, &weight, &bias})) {
    record_layer_norm(*tape, x, weight, bias, y, epsilon);
  }
  return y;
}

}  // namespace tessera::ops
