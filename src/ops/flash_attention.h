// Causal softmax attention for training: nothing of size T x S is kept, the backward computes the scores
// again (Dao et al. 2022; Dao 2023). The mathematics: docs/attention/flash.md.
#pragma once
#include "ops/attention.h"

namespace tessera::ops {

// Each sequence of the batch on its own tokens: q [T, H, D], k and v [T, K, D] f32 → [T, H, D]; the same as
// dense_attention within float32 rounding. Within a DropoutScope (ops/dropout.h) probabilities are dropped
// after the softmax. Bit-identical on any number of threads.
Tensor flash_attention(const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                       const AttentionParameters& parameters);

}  // namespace tessera::ops
