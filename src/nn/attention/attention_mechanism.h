// The contract that every attention mechanism keeps: models hand it q, k, v of one layer and get the mixed
// values back. Who keeps keys and values, and where, is the mechanism's business; modules own no cache.
#pragma once
#include "ops/attention.h"
#include "ops/linear_attention.h"
#include "tensor/ragged_batch.h"
#include "tensor/tensor.h"

namespace tessera::nn {

class AttentionMechanism {
 public:
  virtual ~AttentionMechanism() = default;

  // q [T, H, D], k and v [T, K, D] f32, already rotated; layer counts from 0 → [T, H, D] f32.
  virtual Tensor attend(int layer, const Tensor& q, const Tensor& k, const Tensor& v,
                        const RaggedBatch& batch, const ops::AttentionParameters& parameters) = 0;

  // The same for the queries of some rows, q [R, H, D] → [R, H, D], with the bits they have among all. Error
  // internal unless the mechanism keeps a cache.
  virtual Tensor attend_rows(int layer, const Tensor& q, const Tensor& k, const Tensor& v,
                             const RaggedBatch& batch, const WantedRows& wanted,
                             const ops::AttentionParameters& parameters);

  // The same of a layer whose kind of attention is linear (nn/attention/linear_mixer.h) → [T, H, Dv] f32.
  // Each sequence on its own tokens, unless the mechanism knows where states are kept.
  virtual Tensor attend_linear(int /*layer*/, const ops::LinearAttentionInputs& inputs,
                               const RaggedBatch& batch, const ops::LinearAttentionParameters& parameters) {
    return ops::linear_attention(inputs, batch, parameters);
  }
};

}  // namespace tessera::nn
