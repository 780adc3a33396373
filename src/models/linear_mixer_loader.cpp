#include "models/linear_mixer_loader.h"

#include "nn/attention/delta_rule_attention.h"
#include "nn/attention/gated_delta_rule_attention.h"
#include "nn/attention/gated_linear_attention.h"
#include "nn/attention/linear_attention.h"

namespace tessera::models {
namespace {

constexpr std::int64_t kGateRank = 16;  // Yang et al. 2024, section 4.4

}  // namespace

std::shared_ptr<const nn::LinearMixer> load_linear_mixer(WeightLoader& weights, std::int64_t layer,
                                                         const std::string& module, nn::AttentionKind kind,
                                                         const LinearMixerSizes& sizes) {
  const std::int64_t heads = sizes.num_key_value_heads;
  const auto projection = [&](const char* name, std::int64_t out, std::int64_t in, Bias bias = Bias::none) {
    return weights.linear(layer, module + name, out, in, bias);
  };
  const auto norm = [&](const char* name) {
    return weights.rms_norm(layer, module + name, sizes.head_dim, sizes.epsilon);
  };
  const auto per_head = [&](const char* name) {
    return weights.vector(weights.layer_name(layer, module, name), heads);
  };
  switch (kind) {
    case nn::AttentionKind::linear:
      return std::make_shared<nn::LinearAttention>();
    case nn::AttentionKind::gated_linear: {
      nn::Linear down = projection(".gk_proj.0", kGateRank, sizes.hidden_size);
      nn::Linear up = projection(".gk_proj.1", heads * sizes.head_dim, kGateRank, Bias::required);
      return std::make_shared<nn::GatedLinearAttention>(std::move(down), std::move(up), norm(".g_norm"));
    }
    case nn::AttentionKind::delta_rule: {
      nn::Linear b_proj = projection(".b_proj", heads, sizes.hidden_size);
      return std::make_shared<nn::DeltaRuleAttention>(std::move(b_proj), norm(".o_norm"));
    }
    case nn::AttentionKind::gated_delta_rule: {
      nn::Linear a_proj = projection(".a_proj", heads, sizes.hidden_size);
      nn::Linear b_proj = projection(".b_proj", heads, sizes.hidden_size);
      Tensor a_log = per_head("A_log");
      Tensor dt_bias = per_head("dt_bias");
      return std::make_shared<nn::GatedDeltaRuleAttention>(
          std::move(a_proj), std::move(b_proj), std::move(a_log), std::move(dt_bias), norm(".o_norm"));
    }
    default:
      return nullptr;
  }
}

KeyValueShape kept_of(const nn::LinearMixer* mixer, const KeyValueShape& keys_and_values) {
  if (mixer == nullptr) return keys_and_values;
  KeyValueShape kept{.head_dim = keys_and_values.head_dim};
  kept.state_floats = nn::state_floats(*mixer, keys_and_values.num_key_value_heads, keys_and_values.head_dim);
  return kept;
}

}  // namespace tessera::models
