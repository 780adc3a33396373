// Weights rounded to another stored type: float to blocks, blocks to other blocks, or back to plain floats.
#pragma once
#include <string_view>

#include "tensor/tensor.h"

namespace tessera::ops {

// Whether weights can be rounded to `dtype`: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K.
bool can_quantize_to(DType dtype);

// A copy of `weight` (any floating or quantised dtype, any shape whose rows hold whole blocks of both types)
// in `dtype`; the tensor itself when it has that dtype already. Each row is rounded by itself, on all
// threads: the bytes depend on nothing but its values. Error bad_input naming `subject` and the element: a
// value that is not finite, or larger than the f16 that F16 and the block types keep (65504); internal: a
// dtype that can_quantize_to() denies.
Tensor quantize(const Tensor& weight, DType dtype, std::string_view subject);

}  // namespace tessera::ops
