// The form in which a model keeps its matrices.
#pragma once
#include <cstdint>

namespace tessera::models {

// stored: windows of the file, multiplied in float32; what training and comparisons start from.
// packed: repacked at load into what the kernels stream (ops/weight_matrix.h), for running.
// trainable: float32 in memory of the model's own, whatever the file stores, to be changed by an optimizer
// (Model::parameters).
enum class WeightForm : std::uint8_t { stored, packed, trainable };

}  // namespace tessera::models
