// Multi-head self-attention of one layer: projections, optional query/key norms and rotation around a
// mechanism that somebody else chose (Vaswani et al. 2017; grouped key/value heads: Ainslie et al. 2023).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "nn/attention/attention_mechanism.h"
#include "nn/attention/linear_mixer.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/rotary_embedding.h"

namespace tessera::nn {

struct SelfAttention {
  Linear q_proj;                  // [H·D, C]
  Linear k_proj;                  // [K·D, C]
  Linear v_proj;                  // [K·D, C]
  Linear o_proj;                  // [C, H·D]
  std::optional<RmsNorm> q_norm;  // over D, before the rotation
  std::optional<RmsNorm> k_norm;
  std::shared_ptr<const RotaryEmbedding> rotary;  // null: no rotation in this layer
  std::int64_t head_dim = 0;                      // D
  ops::AttentionParameters parameters;
  std::shared_ptr<const LinearMixer> linear_mixer;  // of the linear kinds; null: softmax

  // x [T, C] → [T, C]; layer counts from 0. Of `wanted` rows alone → [R, C], with the same bits: then only
  // keys and values are computed of all.
  Tensor operator()(int layer, const Tensor& x, const RaggedBatch& batch, AttentionMechanism& attention,
                    const WantedRows* wanted = nullptr) const;

 private:
  Tensor attend_rows(int layer, const Tensor& x, const RaggedBatch& batch, AttentionMechanism& attention,
                     const WantedRows& wanted) const;
};

// q_proj, k_proj and v_proj out of one fused matrix [(H + 2K)·D, C], in this order.
void split_fused_projection(const Linear& fused, std::int64_t query_features, std::int64_t key_value_features,
                            SelfAttention& attention);

}  // namespace tessera::nn
