// Rows of an embedding table, widened to float32 as they are read.
#pragma once
#include <cstdint>
#include <span>

#include "ops/weight_matrix.h"
#include "tensor/tensor.h"

namespace tessera::ops {

// weight [V, C] of any dtype, ids [T] → [T, C] f32. Error bad_input naming an id outside [0, V).
Tensor embedding(std::span<const std::int32_t> ids, const WeightMatrix& weight);

}  // namespace tessera::ops
