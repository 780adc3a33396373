// What every attention without a cache expects of its inputs; a failure is a fault of the caller inside the
// program (Error internal).
#pragma once
#include <string_view>

#include "tensor/ragged_batch.h"
#include "tensor/tensor.h"

namespace tessera::ops {

// q [T, H, D], k and v [T, K, D], all f32, H a multiple of K; each sequence of `batch` attends to its own
// tokens alone. `operation` begins the errors, "flash_attention".
void expect_attention_inputs(const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                             std::string_view operation);

}  // namespace tessera::ops
