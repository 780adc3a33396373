// Rows of an embedding table, widened to float32 as they are read.
#pragma once
#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace tessera::ops {

// weight [V, C] of any dtype, ids [T] → [T, C] f32. Error bad_input naming an id outside [0, V).
Tensor embedding(std::span<const std::int32_t> ids, const Tensor& weight);

}  // namespace tessera::ops
