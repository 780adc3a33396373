// y = x Wᵀ + b for weights of any dtype; the stored precision is the precision that runs.
#pragma once
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace tessera::ops {

// x [T, in] f32, weight [out, in] of any dtype, bias [out] f32 or undefined → [T, out] f32.
// Bit-identical for a row whatever T is, and on any number of threads. Error internal on shapes that do not
// fit.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

// One of several projections of the same x; bias may be null.
struct Projection {
  const Tensor* weight = nullptr;
  const Tensor* bias = nullptr;
};

// linear(x, weight, bias) for each projection, bit for bit, in one parallel region: q, k and v, or gate and
// up, cost one barrier together.
std::vector<Tensor> linear_together(const Tensor& x, std::span<const Projection> projections);

}  // namespace tessera::ops
