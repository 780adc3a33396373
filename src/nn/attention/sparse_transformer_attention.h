// The patterns of Sparse Transformers (Child et al. 2019) on the batch's own tokens: local, strided and
// fixed, one for all heads or by turns from head to head. docs/attention/sparse.md.
#pragma once
#include <vector>

#include "nn/attention/attention_mechanism.h"

namespace tessera::nn {

class SparseTransformerAttention final : public AttentionMechanism {
 public:
  // Error bad_usage: no pattern, one of another family, or impossible sizes.
  explicit SparseTransformerAttention(std::vector<AttentionPattern> patterns);
  Tensor attend(int layer, const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                const ops::AttentionParameters& parameters) override;

 private:
  std::vector<AttentionPattern> patterns_;  // head h has patterns_[h % size]
};

}  // namespace tessera::nn
