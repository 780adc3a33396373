#include "nn/attention/flash_attention.h"

#include "ops/flash_attention.h"
#include "ops/sparse_attention.h"

namespace tessera::nn {

Tensor FlashAttention::attend(int /*layer*/, const Tensor& q, const Tensor& k, const Tensor& v,
                              const RaggedBatch& batch, const ops::AttentionParameters& parameters) {
  if (!parameters.patterns.empty()) return ops::sparse_attention(q, k, v, batch, parameters);
  return ops::flash_attention(q, k, v, batch, parameters);
}

}  // namespace tessera::nn
