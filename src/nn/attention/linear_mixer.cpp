#include "nn/attention/linear_mixer.h"

#include <cmath>

namespace tessera::nn {

Tensor LinearMixer::mix(int layer, const Tensor& x, const ProjectedTokens& projected,
                        const RaggedBatch& batch, AttentionMechanism& attention) const {
  const ops::LinearAttentionInputs inputs = inputs_of(x, projected);
  const Tensor mixed = attention.attend_linear(
      layer, inputs, batch, {.scale = scale(inputs.q.dim(2)), .normalized = normalized()});  // [T, H, D]
  const RmsNorm* norm = output_norm();
  return norm == nullptr ? mixed : (*norm)(mixed);
}

float LinearMixer::scale(std::int64_t head_dim) const {
  return 1.0F / std::sqrt(static_cast<float>(head_dim));
}

std::int64_t state_floats(const LinearMixer& mixer, std::int64_t key_value_heads, std::int64_t head_dim) {
  return ops::linear_state_floats(key_value_heads, head_dim, head_dim, mixer.gate_dim(head_dim),
                                  mixer.normalized());
}

}  // namespace tessera::nn
