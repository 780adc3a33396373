// The backward of ops/normalization.
#include <algorithm>

#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/training_table.h"
#include "ops/backward.h"
#include "ops/grain.h"
#include "ops/matrix_product.h"

namespace tessera::ops {
namespace {

// Rows whose parts of the weights' gradients are summed by one thread before they are added to the others, in
// order: fixed, so that the sum does not depend on how many threads there are.
constexpr std::int64_t kChunkRows = 32;

struct NormTensors {
  Tensor x, weight, bias, y;
};

void norm_backward(autograd::Tape& tape, const NormTensors& tensors, kernels::NormGradientArguments arguments,
                   kernels::NormGradientKernel kernel) {
  const ProfileTimer timer("norm backward");
  const Tensor dy = tape.gradient(tensors.y);
  const std::int64_t width = tensors.x.dim(-1);
  const std::int64_t rows = tensors.x.elements() / width;
  const std::int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  const auto partial_sums = [&](const Tensor& parameter) {
    return tape.tracks(parameter) ? Tensor::zeros({chunks, width}) : Tensor{};
  };
  Tensor dweight = partial_sums(tensors.weight);
  Tensor dbias = partial_sums(tensors.bias);
  autograd::GradientWindow dx;
  if (tape.tracks(tensors.x)) dx = tape.gradient_to_write(tensors.x);
  arguments.weight = tensors.weight.as<float>().data();
  arguments.count = width;
  arguments.accumulate = dx.accumulate;
  const float* x = tensors.x.as<float>().data();
  const float* upstream = dy.as<float>().data();
  float* target = dx.values.defined() ? dx.values.as_mutable<float>().data() : nullptr;
  float* weight_sums = dweight.defined() ? dweight.as_mutable<float>().data() : nullptr;
  float* bias_sums = dbias.defined() ? dbias.as_mutable<float>().data() : nullptr;
  thread_pool().parallel_for(chunks, std::max<std::int64_t>(1, row_grain(width) / kChunkRows),
                             [&](std::int64_t begin, std::int64_t end) {
                               for (std::int64_t chunk = begin; chunk < end; ++chunk) {
                                 const std::int64_t first = chunk * kChunkRows;
                                 kernels::NormGradientArguments part = arguments;
                                 part.rows = std::min(kChunkRows, rows - first);
                                 part.x = x + first * width;
                                 part.dy = upstream + first * width;
                                 if (target != nullptr) part.dx = target + first * width;
                                 if (weight_sums != nullptr) part.dweight = weight_sums + chunk * width;
                                 if (bias_sums != nullptr) part.dbias = bias_sums + chunk * width;
                                 kernel(part);
                               }
                             });
  const auto add_sums = [&](const Tensor& parameter, const Tensor& sums) {
    if (!sums.defined()) return;
    Tensor gradient = tape.gradient(parameter);
    add_row_sums(view(sums), gradient.as_mutable<float>().data());
  };
  add_sums(tensors.weight, dweight);
  add_sums(tensors.bias, dbias);
}

}  // namespace

void record_rms_norm(autograd::Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& y,
                     float epsilon, bool add_one) {
  const NormTensors tensors{x, weight, {}, y};
  tape.record({y}, {x, weight}, [tensors, epsilon, add_one](autograd::Tape& t) {
    norm_backward(t, tensors, {.epsilon = epsilon, .weight_offset = add_one ? 1.0F : 0.0F},
                  kernels::active_training().rms_norm_gradient);
  });
}

void record_layer_norm(autograd::Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const Tensor& y, float epsilon) {
  const NormTensors tensors{x, weight, bias, y};
  tape.record({y}, {x, weight}, [tensors, epsilon](autograd::Tape& t) {
    norm_backward(t, tensors, {.epsilon = epsilon}, kernels::active_training().layer_norm_gradient);
  });
}

}  // namespace tessera::ops
