// Gated linear attention (Yang et al. 2024): S = diag(e^g) S + k v^T, each channel of the keys forgetting at
// a pace that the token decides: g = log sigmoid(gk_proj x) / 16. docs/attention/gated_linear.md.
#pragma once
#include <utility>

#include "nn/attention/linear_mixer.h"
#include "nn/linear.h"

namespace tessera::nn {

class GatedLinearAttention final : public LinearMixer {
 public:
  // gk_down [16, C] and gk_up [K·D, 16] with a bias make the gates; norm is over D of the output.
  GatedLinearAttention(Linear gk_down, Linear gk_up, RmsNorm norm)
      : gk_down_(std::move(gk_down)), gk_up_(std::move(gk_up)), norm_(std::move(norm)) {}
  std::int64_t gate_dim(std::int64_t head_dim) const override { return head_dim; }

 private:
  ops::LinearAttentionInputs inputs_of(const Tensor& x, const ProjectedTokens& projected) const override;
  const RmsNorm* output_norm() const override { return &norm_; }

  Linear gk_down_;
  Linear gk_up_;
  RmsNorm norm_;
};

}  // namespace tessera::nn
