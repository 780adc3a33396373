// Attention over tiles of queries and runs of keys, and its gradient: what the kernels of every ISA compute.
// That the tiles are those of a pattern is the business of kernels/sparse_tiles.h.
#pragma once
#include "kernels/sparse_attention.h"

namespace tessera::kernels::ref {

// o[q] = sum_k p[q, k] v[k], p = softmax over the keys that q sees of the capped scores scale q . k.
void sparse_attention(const SparseAttentionArguments& arguments);
// With delta[q] = do[q] . o[q]: dscore = p (do . v - delta) (1 - (score / cap)^2); dq = scale sum dscore k;
// dk += scale sum dscore q; dv += sum p do (Dao et al. 2022, appendix B.2).
void sparse_attention_gradient(const SparseAttentionArguments& arguments);

}  // namespace tessera::kernels::ref
