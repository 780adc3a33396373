// Linear attention with the feature map elu + 1 (Katharopoulos et al. 2020): o = phi(q) S / (phi(q) z), where
// S sums phi(k) v^T and z phi(k). docs/attention/linear.md.
#pragma once
#include "nn/attention/linear_mixer.h"

namespace tessera::nn {

class LinearAttention final : public LinearMixer {
 public:
  std::int64_t gate_dim(std::int64_t /*head_dim*/) const override { return 0; }
  bool normalized() const override { return true; }

 private:
  ops::LinearAttentionInputs inputs_of(const Tensor& x, const ProjectedTokens& projected) const override;
  float scale(std::int64_t /*head_dim*/) const override { return 1.0F; }  // the division takes it out
};

}  // namespace tessera::nn
