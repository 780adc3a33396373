#include "nn/mlp.h"

#include <utility>

#include "nn/lora.h"
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
  if (lora_in_force()) {  // adds to each projection before they are combined
    const auto gate_and_up = project_together(x, {gate_proj_, up_proj_});                   // 2 x [T, F]
    return down_proj_(ops::gated_activation(gate_and_up[0], gate_and_up[1], activation_));  // [T, C]
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
