// The position-wise feed-forward network: gated (SwiGLU, GeGLU: Shazeer 2020) and plain (Vaswani et al.
// 2017).
#pragma once
#include "nn/linear.h"
#include "ops/activation.h"

namespace tessera::nn {

// down(activation(gate(x)) * up(x)).
class GatedMlp {
 public:
  GatedMlp() = default;
  GatedMlp(Linear gate_proj, Linear up_proj, Linear down_proj, ops::Activation activation);
  // gate_up_proj [2F, C]: gate in the first F outputs, up in the second (Phi-3).
  GatedMlp(Linear gate_up_proj, Linear down_proj, ops::Activation activation);

  // x [T, C] → [T, C].
  Tensor operator()(const Tensor& x) const;

 private:
  Linear gate_proj_;  // holds both halves when fused_
  Linear up_proj_;
  Linear down_proj_;
  ops::Activation activation_ = ops::Activation::silu;
  bool fused_ = false;
};

// down(activation(up(x))).
class Mlp {
 public:
  Mlp() = default;
  Mlp(Linear up_proj, Linear down_proj, ops::Activation activation);

  // x [T, C] → [T, C].
  Tensor operator()(const Tensor& x) const;

 private:
  Linear up_proj_;
  Linear down_proj_;
  ops::Activation activation_ = ops::Activation::gelu;
};

}  // namespace tessera::nn
