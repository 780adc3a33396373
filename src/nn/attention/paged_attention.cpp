#include "nn/attention/paged_attention.h"

#include "base/error.h"

namespace tessera::nn {

Tensor PagedAttention::attend(int layer, const Tensor& q, const Tensor& k, const Tensor& v,
                              const RaggedBatch& batch, const ops::AttentionParameters& parameters) {
  const KeyValueCacheLayer& cache = layers_[static_cast<std::size_t>(layer)];
  ops::write_key_values(k, v, batch, cache);
  return ops::paged_attention(q, batch, cache, parameters);
}

Tensor PagedAttention::attend_rows(int layer, const Tensor& q, const Tensor& k, const Tensor& v,
                                   const RaggedBatch& batch, const WantedRows& wanted,
                                   const ops::AttentionParameters& parameters) {
  const KeyValueCacheLayer& cache = layers_[static_cast<std::size_t>(layer)];
  ops::write_key_values(k, v, batch, cache);
  return ops::paged_attention(q, wanted.batch, cache, parameters);
}

Tensor PagedAttention::attend_linear(int layer, const ops::LinearAttentionInputs& inputs,
                                     const RaggedBatch& batch,
                                     const ops::LinearAttentionParameters& parameters) {
  const auto index = static_cast<std::size_t>(layer);
  if (index >= states_.size() || states_[index].slot_floats == 0) {
    fail(ErrorKind::internal, "paged attention: layer {} has no states", layer);
  }
  return ops::linear_attention(inputs, batch, parameters, states_[index]);
}

}  // namespace tessera::nn
