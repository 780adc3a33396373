// Attention of each sequence on its own tokens, without a cache: training, and the plain reference for the
// rest.
#pragma once
#include "nn/attention/attention_mechanism.h"

namespace tessera::nn {

class DenseAttention final : public AttentionMechanism {
 public:
  Tensor attend(int layer, const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                const ops::AttentionParameters& parameters) override;
};

}  // namespace tessera::nn
