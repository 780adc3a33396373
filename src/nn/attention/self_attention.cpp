#include "nn/attention/self_attention.h"

namespace tessera::nn {

Tensor SelfAttention::operator()(int layer, const Tensor& x, const RaggedBatch& batch,
                                 AttentionMechanism& attention) const {
  const std::int64_t tokens = x.dim(0);
  const auto heads = [&](const Tensor& features) {
    return features.reshape({tokens, features.dim(1) / head_dim, head_dim});
  };
  const auto projected = project_together(x, {q_proj, k_proj, v_proj});
  Tensor q = heads(projected[0]);        // [T, H, D]
  Tensor k = heads(projected[1]);        // [T, K, D]
  const Tensor v = heads(projected[2]);  // [T, K, D]
  if (q_norm) q = (*q_norm)(q);
  if (k_norm) k = (*k_norm)(k);
  if (rotary != nullptr) rotary->apply(q, k, batch.positions);
  const Tensor mixed = attention.attend(layer, q, k, v, batch, parameters);  // [T, H, D]
  return o_proj(mixed.reshape({tokens, o_proj.in_features()}));              // [T, C]
}

void split_fused_projection(const Linear& fused, std::int64_t query_features, std::int64_t key_value_features,
                            SelfAttention& attention) {
  const std::int64_t keys_end = query_features + key_value_features;
  attention.q_proj = fused.outputs(0, query_features);
  attention.k_proj = fused.outputs(query_features, keys_end);
  attention.v_proj = fused.outputs(keys_end, keys_end + key_value_features);
}

}  // namespace tessera::nn
