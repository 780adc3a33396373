// What the linear kinds of attention do to queries, keys and gates before they meet, with gradients: feature
// maps, unit rows, squashed gates.
#pragma once
#include "tensor/tensor.h"

namespace tessera::ops {

// elu(x) + 1: x + 1 above 0, exp(x) below (Katharopoulos et al. 2020). f32 of any shape.
Tensor elu_plus_one(const Tensor& x);
Tensor sigmoid(const Tensor& x);
// factor log(sigmoid(x)): a log gate that is never above 0 (gated linear attention: factor 1 / 16).
Tensor log_sigmoid(const Tensor& x, float factor);
// Rows of the innermost dimension divided by sqrt(their sum of squares + 1e-6).
Tensor l2_normalize(const Tensor& x);
// The log gate of Gated DeltaNet (Mamba 2's): -exp(A_log) softplus(x + dt_bias). x [T, K]; a_log and dt_bias
// [K] → [T, K].
Tensor decay_gate(const Tensor& x, const Tensor& a_log, const Tensor& dt_bias);

}  // namespace tessera::ops
