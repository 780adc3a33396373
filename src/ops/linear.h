// y = x Wᵀ + b for weights of any dtype; the stored precision is the precision that runs.
//
// Weights as stored are multiplied in float32. Packed block-quantised weights are multiplied in integers,
// with x rounded once a call to 15 bits a block (kernels/packed_layout.h), and so are packed weights of 16
// bits where the instruction set gains by it, with 16 bits a block for both. Eight bits would be faster with
// many rows and lose little beside what 4-bit weights have lost (a divergence of 0.003 to 0.004 on SmolLM2
// Q4_1, of 0.000001 with 15), but enough to turn close decisions of a small model.
#pragma once
#include <span>
#include <vector>

#include "ops/activation.h"
#include "ops/weight_matrix.h"
#include "tensor/tensor.h"

namespace tessera::ops {

// x [T, in] f32, weight [out, in] of any dtype, bias [out] f32 or undefined → [T, out] f32.
// Bit-identical for a row whatever T is, and on any number of threads. Error internal on shapes that do not
// fit.
Tensor linear(const Tensor& x, const WeightMatrix& weight, const Tensor& bias = {});

// One of several projections of the same x; bias may be null.
struct Projection {
  const WeightMatrix* weight = nullptr;
  const Tensor* bias = nullptr;
};

// linear(x, weight, bias) for each projection, bit for bit, in one parallel region: q, k and v, or gate and
// up, cost one barrier together, and x is quantised once for all.
std::vector<Tensor> linear_together(const Tensor& x, std::span<const Projection> projections);

// activation(gate(x)) * up(x) [T, F], the first half of a gated MLP (Shazeer 2020): bit for bit what
// linear_together and gated_activation give. With packed weights what gate and up make of a strip of features
// is combined while the cache holds it, and never stored whole.
Tensor gated_linear(const Tensor& x, const Projection& gate, const Projection& up, Activation activation);

}  // namespace tessera::ops
