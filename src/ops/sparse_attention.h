// Softmax attention in which a query sees only the keys of its pattern: sliding window, Sparse Transformer,
// BigBird. Time and memory are those of the keys seen. The mathematics: docs/attention/sparse.md, bigbird.md.
#pragma once
#include "ops/attention.h"

namespace tessera::ops {

// The pattern of query head `head`: parameters.patterns in turn, else the window, else all that is causal.
AttentionPattern pattern_of(const AttentionParameters& parameters, std::int64_t head);

// Error bad_usage: a text of `length` tokens is longer than what the pattern counts its blocks in.
void expect_within(const AttentionPattern& pattern, std::int64_t length);

// Each sequence of the batch on its own tokens: q [T, H, D], k and v [T, K, D] f32 → [T, H, D]. Has a
// gradient; nothing of size T x S is kept for it. Bit-identical on any number of threads. Errors of
// expect_within().
Tensor sparse_attention(const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                        const AttentionParameters& parameters);

// What paged_attention() does, once it has checked its arguments, for parameters.patterns, which must be
// causal: each piece of a sequence's tokens meets copies of the keys and values it sees, laid side by side.
// The same bits however the prompt is cut.
Tensor paged_sparse_attention(const Tensor& q, const RaggedBatch& batch, const KeyValueCacheLayer& cache,
                              const AttentionParameters& parameters);

}  // namespace tessera::ops
