// The delta rule (DeltaNet: Schlag et al. 2021, Yang et al. 2024): S += beta k (v - S^T k)^T, so that a key
// can be overwritten; keys and queries are silu'd and of length 1. docs/attention/delta_rule.md.
#pragma once
#include <utility>

#include "nn/attention/linear_mixer.h"
#include "nn/linear.h"

namespace tessera::nn {

class DeltaRuleAttention final : public LinearMixer {
 public:
  // b_proj [K, C] makes beta = sigmoid(b_proj x); norm is over D of the output.
  DeltaRuleAttention(Linear b_proj, RmsNorm norm) : b_proj_(std::move(b_proj)), norm_(std::move(norm)) {}
  std::int64_t gate_dim(std::int64_t /*head_dim*/) const override { return 0; }

 private:
  ops::LinearAttentionInputs inputs_of(const Tensor& x, const ProjectedTokens& projected) const override;
  const RmsNorm* output_norm() const override { return &norm_; }

  Linear b_proj_;
  RmsNorm norm_;
};

// Of both kinds of delta rule: q and k silu'd and normalized, betas from b_proj.
ops::LinearAttentionInputs delta_rule_inputs(const Tensor& x, const ProjectedTokens& projected,
                                             const Linear& b_proj);

}  // namespace tessera::nn
