// The extra parameters of a layer whose kind of attention is linear, named as in flash-linear-attention's
// models: below `module` ("self_attn"; GPT-2: "attn")
//   gated_linear      gk_proj.0.weight [16, C], gk_proj.1.{weight [K·D, 16], bias}, g_norm.weight [D]
//   delta_rule        b_proj.weight [K, C], o_norm.weight [D]
//   gated_delta_rule  a_proj.weight and b_proj.weight [K, C], A_log [K], dt_bias [K], o_norm.weight [D]
// and none for linear. Without those models' output gates and short convolutions.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "models/weight_loader.h"
#include "nn/attention/attention_config.h"
#include "nn/attention/linear_mixer.h"

namespace tessera::models {

struct LinearMixerSizes {
  std::int64_t hidden_size = 0;          // C
  std::int64_t num_key_value_heads = 0;  // K
  std::int64_t head_dim = 0;             // D
  double epsilon = 1e-5;                 // of the norms
};

// Null for a kind that is not linear.
std::shared_ptr<const nn::LinearMixer> load_linear_mixer(WeightLoader& weights, std::int64_t layer,
                                                         const std::string& module, nn::AttentionKind kind,
                                                         const LinearMixerSizes& sizes);

// What the engine keeps for a layer: keys and values, or the mixer's state.
KeyValueShape kept_of(const nn::LinearMixer* mixer, const KeyValueShape& keys_and_values);

}  // namespace tessera::models
