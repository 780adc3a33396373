// The gated delta rule (Gated DeltaNet: Yang, Kautz, Hatamizadeh 2025): all of S decays by a gate a token,
// then the delta rule writes; g = -exp(A_log) softplus(a_proj x + dt_bias). docs/attention/delta_rule.md.
#pragma once
#include <utility>

#include "nn/attention/linear_mixer.h"
#include "nn/linear.h"

namespace tessera::nn {

class GatedDeltaRuleAttention final : public LinearMixer {
 public:
  // a_proj and b_proj [K, C]; a_log and dt_bias [K]; norm is over D of the output.
  GatedDeltaRuleAttention(Linear a_proj, Linear b_proj, Tensor a_log, Tensor dt_bias, RmsNorm norm)
      : a_proj_(std::move(a_proj)),
        b_proj_(std::move(b_proj)),
        a_log_(std::move(a_log)),
        dt_bias_(std::move(dt_bias)),
        norm_(std::move(norm)) {}
  std::int64_t gate_dim(std::int64_t /*head_dim*/) const override { return 1; }

 private:
  ops::LinearAttentionInputs inputs_of(const Tensor& x, const ProjectedTokens& projected) const override;
  const RmsNorm* output_norm() const override { return &norm_; }

  Linear a_proj_;
  Linear b_proj_;
  Tensor a_log_;
  Tensor dt_bias_;
  RmsNorm norm_;
};

}  // namespace tessera::nn
