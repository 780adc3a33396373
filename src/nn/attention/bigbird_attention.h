// BigBird (Zaheer et al. 2020) on the batch's own tokens: a window of blocks, global blocks and random ones,
// as published or, for decoders, only those before. docs/attention/bigbird.md.
#pragma once
#include "nn/attention/attention_mechanism.h"

namespace tessera::nn {

class BigBirdAttention final : public AttentionMechanism {
 public:
  // Error bad_usage: another pattern, or impossible sizes.
  explicit BigBirdAttention(const AttentionPattern& pattern);
  Tensor attend(int layer, const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                const ops::AttentionParameters& parameters) override;

 private:
  AttentionPattern pattern_;
};

}  // namespace tessera::nn
