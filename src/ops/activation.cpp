#include "ops/activation.h"

#include <string>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/backward.h"
#include "ops/check.h"
#include "ops/grain.h"

namespace tessera::ops {
namespace {

constexpr bool same(Activation a, kernels::ActivationKind b) {
  return static_cast<int>(a) == static_cast<int>(b);
}
static_assert(same(Activation::silu, kernels::ActivationKind::silu));
static_assert(same(Activation::gelu, kernels::ActivationKind::gelu));
static_assert(same(Activation::gelu_tanh, kernels::ActivationKind::gelu_tanh));
static_assert(same(Activation::relu, kernels::ActivationKind::relu));

}  // namespace

Activation activation_from_name(std::string_view name) {
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return Activation::gelu_tanh;
  if (name == "relu") return Activation::relu;
  fail(ErrorKind::unsupported,
       "hidden_act: expected silu, swish, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh or relu, found '{}'",
       printable(name));
}

Tensor activate(const Tensor& x, Activation activation) {
  const ProfileTimer timer("activation");
  expect_f32(x, "activate: x");
  Tensor y = Tensor::empty(x.shape());
  const auto kernel = kernels::active().activate[static_cast<std::size_t>(activation)];
  const float* source = x.as<float>().data();
  float* target = y.as_mutable<float>().data();
  thread_pool().parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(source + begin, target + begin, end - begin);
  });
  if (autograd::Tape* tape = autograd::tape_for({&x})) record_activate(*tape, x, y, activation);
  return y;
}

Tensor gated_activation(const Tensor& gate, const Tensor& up, Activation activation) {
  const ProfileTimer timer("gated_activation");
  expect_f32(gate, "gated_activation: gate");
  expect_f32(up, "gated_activation: up");
  expect_shape(up, gate.shape(), "gated_activation: up");
  Tensor y = Tensor::empty(gate.shape());
  const auto kernel = kernels::active().gated_activation[static_cast<std::size_t>(activation)];
  const float* gates = gate.as<float>().data();
  const float* ups = up.as<float>().data();
  float* target = y.as_mutable<float>().data();
  thread_pool().parallel_for(gate.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(gates + begin, ups + begin, target + begin, end - begin);
  });
  if (autograd::Tape* tape = autograd::tape_for({&gate, &up})) record_gated(*tape, gate, up, y, activation);
  return y;
}

Tensor gated_activation(const Tensor& gate_up, Activation activation) {
  const ProfileTimer timer("gated_activation");
  expect_f32(gate_up, "gated_activation: gate_up");
  expect_rank(gate_up, 2, "gated_activation: gate_up");
  const std::int64_t width = gate_up.dim(1) / 2;
  expect_dim(gate_up, 1, 2 * width, "gated_activation: gate_up");
  Tensor y = Tensor::empty({gate_up.dim(0), width});
  const auto kernel = kernels::active().gated_activation[static_cast<std::size_t>(activation)];
  const float* source = gate_up.as<float>().data();
  float* target = y.as_mutable<float>().data();
  thread_pool().parallel_for(gate_up.dim(0), row_grain(width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* gates = source + row * 2 * width;
      kernel(gates, gates + width, target + row * width, width);
    }
  });
  if (autograd::Tape* tape = autograd::tape_for({&gate_up})) record_gated(*tape, gate_up, y, activation);
  return y;
}

}  // namespace tessera::ops
