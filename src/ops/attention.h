// Softmax attention over a ragged batch: on a paged cache (serving), and on the batch's own keys (training,
// tests).
#pragma once
#include <cstdint>
#include <vector>

#include "tensor/attention_pattern.h"
#include "tensor/ragged_batch.h"
#include "tensor/tensor.h"

namespace tessera::ops {

struct AttentionParameters {
  float scale = 1.0F;               // scores are q·k * scale
  std::int64_t sliding_window = 0;  // 0: all; W: key position k is seen by q when q - W < k <= q
  float logit_softcap = 0.0F;       // 0: none; c: score = c * tanh(score / c) (Gemma 2)
  // Of the query heads in turn (head h has patterns[h % size]), instead of the window; empty: causal, all.
  std::vector<AttentionPattern> patterns = {};
};

// Puts k and v [T, K, D] f32 into the slots batch.slot_mapping names, rounding to the cache's types.
void write_key_values(const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                      const KeyValueCacheLayer& cache);

// Causal grouped-query attention of q [T, H, D] f32 on the cache → [T, H, D] f32; key/value head = query head
// / (H/K). Online softmax, accumulated in float32; a token's result depends on its own sequence's keys alone,
// bit for bit, not on how the prompt was chunked, what else is in the batch, or threads.
Tensor paged_attention(const Tensor& q, const RaggedBatch& batch, const KeyValueCacheLayer& cache,
                       const AttentionParameters& parameters);

// Causal attention of each sequence on its own tokens, no cache: q [T, H, D], k and v [T, K, D] → [T, H, D].
// The plain form of the definition: softmax(q kᵀ · scale + mask) v.
Tensor dense_attention(const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                       const AttentionParameters& parameters);

}  // namespace tessera::ops
