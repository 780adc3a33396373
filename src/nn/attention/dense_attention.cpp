#include "nn/attention/dense_attention.h"

namespace tessera::nn {

Tensor DenseAttention::attend(int /*layer*/, const Tensor& q, const Tensor& k, const Tensor& v,
                              const RaggedBatch& batch, const ops::AttentionParameters& parameters) {
  return ops::dense_attention(q, k, v, batch, parameters);
}

}  // namespace tessera::nn
