// y = x Wᵀ + b for weights of any dtype; the stored precision is the precision that runs.
#pragma once
#include "tensor/tensor.h"

namespace tessera::ops {

// x [T, in] f32, weight [out, in] of any dtype, bias [out] f32 or undefined → [T, out] f32.
// Bit-identical for a row whatever T is, and on any number of threads. Error internal on shapes that do not
// fit.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

}  // namespace tessera::ops
