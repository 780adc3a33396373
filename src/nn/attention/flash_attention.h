// Attention of each sequence on its own tokens, without a cache and without anything of size T x S in memory:
// what training runs.
#pragma once
#include "nn/attention/attention_mechanism.h"

namespace tessera::nn {

class FlashAttention final : public AttentionMechanism {
 public:
  Tensor attend(int layer, const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                const ops::AttentionParameters& parameters) override;
};

}  // namespace tessera::nn
