#include "nn/attention/self_attention.h"

#include "ops/elementwise.h"

namespace tessera::nn {

namespace {

// [T, n D] as heads [T, n, D].
Tensor heads(const Tensor& features, std::int64_t head_dim) {
  return features.reshape({features.dim(0), features.dim(1) / head_dim, head_dim});
}

}  // namespace

Tensor SelfAttention::operator()(int layer, const Tensor& x, const RaggedBatch& batch,
                                 AttentionMechanism& attention, const WantedRows* wanted) const {
  // The linear kinds mix all tokens in one pass.
  if (wanted != nullptr && linear_mixer == nullptr) return attend_rows(layer, x, batch, attention, *wanted);
  const auto projected = project_together(x, {q_proj, k_proj, v_proj});
  Tensor q = heads(projected[0], head_dim);        // [T, H, D]
  Tensor k = heads(projected[1], head_dim);        // [T, K, D]
  const Tensor v = heads(projected[2], head_dim);  // [T, K, D]
  if (q_norm) q = (*q_norm)(q);
  if (k_norm) k = (*k_norm)(k);
  if (rotary != nullptr) rotary->apply(q, k, batch.positions);
  Tensor mixed = linear_mixer == nullptr
                     ? attention.attend(layer, q, k, v, batch, parameters)        // [T, H, D]
                     : linear_mixer->mix(layer, x, {q, k, v}, batch, attention);  // [T, H, D]
  mixed = mixed.reshape({x.dim(0), o_proj.in_features()});
  return o_proj(wanted == nullptr ? mixed : ops::gather_rows(mixed, wanted->rows));  // [T, C] or [R, C]
}

Tensor SelfAttention::attend_rows(int layer, const Tensor& x, const RaggedBatch& batch,
                                  AttentionMechanism& attention, const WantedRows& wanted) const {
  const auto projected = project_together(x, {k_proj, v_proj});
  Tensor q = heads(q_proj(ops::gather_rows(x, wanted.rows)), head_dim);  // [R, H, D]
  Tensor k = heads(projected[0], head_dim);                              // [T, K, D]
  const Tensor v = heads(projected[1], head_dim);                        // [T, K, D]
  if (q_norm) q = (*q_norm)(q);
  if (k_norm) k = (*k_norm)(k);
  if (rotary != nullptr) {
    rotary->rotate(q, wanted.batch.positions);
    rotary->rotate(k, batch.positions);
  }
  const Tensor mixed = attention.attend_rows(layer, q, k, v, batch, wanted, parameters);  // [R, H, D]
  return o_proj(mixed.reshape({q.dim(0), o_proj.in_features()}));                         // [R, C]
}

void split_fused_projection(const Linear& fused, std::int64_t query_features, std::int64_t key_value_features,
                            SelfAttention& attention) {
  const std::int64_t keys_end = query_features + key_value_features;
  attention.q_proj = fused.outputs(0, query_features);
  attention.k_proj = fused.outputs(query_features, keys_end);
  attention.v_proj = fused.outputs(keys_end, keys_end + key_value_features);
}

}  // namespace tessera::nn
