// RMSNorm (Zhang & Sennrich 2019) and LayerNorm (Ba et al. 2016) over the innermost dimension.
#pragma once
#include "tensor/tensor.h"

namespace tessera::ops {

// x [..., C] f32, weight [C] f32 → y = x / sqrt(mean(x²) + eps) * weight. With `add_one`, weight is (1 +
// weight): Gemma.
Tensor rms_norm(const Tensor& x, const Tensor& weight, float epsilon, bool add_one = false);

// y = (x - mean) / sqrt(var + eps) * weight + bias; bias [C] f32 or undefined.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float epsilon);

}  // namespace tessera::ops
