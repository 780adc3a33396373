#include "nn/mlp.h"

#include <utility>

#include "ops/linear.h"

namespace tessera::nn {

GatedMlp::GatedMlp(Linear gate_proj, Linear up_proj, Linear down_proj, ops::Activation activation)
    : gate_proj_(std::move(gate_proj)),
      up_proj_(std::move(up_proj)),
      down_proj_(std::move(down_proj)),
      activation_(activation) {}

GatedMlp::GatedMlp(Linear gate_up_proj, Linear down_proj, ops::Activation activation)
    : gate_proj_(std::move(gate_up_proj)),
      down_proj_(std::move(down_proj)),
      activation_(activation),
      fused_(true) {}

Tensor GatedMlp::operator()(const Tensor& x) const {
  if (fused_) {
    const Tensor gate_up = gate_proj_(x);                            // [T, 2F]
    return down_proj_(ops::gated_activation(gate_up, activation_));  // [T, C]
  }
  const ops::Projection gate{&gate_proj_.weight(), &gate_proj_.bias()};
  const ops::Projection up{&up_proj_.weight(), &up_proj_.bias()};
  return down_proj_(ops::gated_linear(x, gate, up, activation_));  // [T, C]
}

Mlp::Mlp(Linear up_proj, Linear down_proj, ops::Activation activation)
    : up_proj_(std::move(up_proj)), down_proj_(std::move(down_proj)), activation_(activation) {}

Tensor Mlp::operator()(const Tensor& x) const {
  return down_proj_(ops::activate(up_proj_(x), activation_));  // [T, C]
}

}  // namespace tessera::nn
