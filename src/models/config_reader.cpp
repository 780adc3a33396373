#include "models/config_reader.h"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace tessera::models {
namespace {

struct KeyPair {
  std::string_view hugging_face;
  std::string_view gguf;  // after "{architecture}."
};

constexpr std::array kKeys = {
    KeyPair{"hidden_size", "embedding_length"},
    KeyPair{"intermediate_size", "feed_forward_length"},
    KeyPair{"num_hidden_layers", "block_count"},
    KeyPair{"num_attention_heads", "attention.head_count"},
    KeyPair{"num_key_value_heads", "attention.head_count_kv"},
    KeyPair{"head_dim", "attention.key_length"},
    KeyPair{"max_position_embeddings", "context_length"},
    KeyPair{"vocab_size", "vocab_size"},
    KeyPair{"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
    KeyPair{"layer_norm_epsilon", "attention.layer_norm_epsilon"},
    KeyPair{"activation_function", "activation_function"},  // ours; other programs do not write it
    KeyPair{"sliding_window", "attention.sliding_window"},
    KeyPair{"sliding_window_pattern", "attention.sliding_window_pattern"},
    KeyPair{"attn_logit_softcapping", "attn_logit_softcapping"},
    KeyPair{"final_logit_softcapping", "final_logit_softcapping"},
    KeyPair{"rope_theta", "rope.freq_base"},
    KeyPair{"rope_local_base_freq", "rope.freq_base_swa"},
    KeyPair{"original_max_position_embeddings", "rope.scaling.original_context_length"},
    KeyPair{"rope_scaling.rope_type", "rope.scaling.type"},
    KeyPair{"rope_scaling.factor", "rope.scaling.factor"},
    KeyPair{"rope_scaling.beta_fast", "rope.scaling.yarn_beta_fast"},
    KeyPair{"rope_scaling.beta_slow", "rope.scaling.yarn_beta_slow"},
    // What only GGUF has keeps GGUF's name on both sides.
    KeyPair{"", "attention.value_length"},
    KeyPair{"", "attention.causal"},
    KeyPair{"", "attention.scale"},
    KeyPair{"", "expert_count"},
    KeyPair{"", "rope.dimension_count"},
    KeyPair{"", "rope.scale_linear"},
    KeyPair{"", "rope.scaling.attn_factor"},
    KeyPair{"", "rope.scaling.yarn_attn_factor"},
    KeyPair{"", "rope.scaling.yarn_ext_factor"},
    KeyPair{"", "rope.scaling.yarn_log_multiplier"},
};

}  // namespace

ConfigReader::ConfigReader(const WeightSource& source) : source_(source) {
  for (const auto& [key, entry] : metadata().entries()) {
    if (key.starts_with("quantization_config.")) {
      const auto method = metadata().find_string("quantization_config.quant_method");
      unsupported("quantization_config", "weights that are F32, F16, BF16 or GGUF-quantised",
                  method.value_or("a quantization_config"));
    }
  }
  if (is_gguf() && find_integer("expert_count", 0, kLargestDimension).value_or(0) != 0) {
    unsupported("expert_count", "a model without experts", "a mixture of experts");
  }
}

std::string gguf_config_key(std::string_view key, std::string_view architecture) {
  for (const KeyPair& pair : kKeys) {
    if (key == (pair.hugging_face.empty() ? pair.gguf : pair.hugging_face)) {
      return fmt::format("{}.{}", architecture, pair.gguf);
    }
  }
  return {};
}

std::string ConfigReader::file_key(std::string_view key) const {
  return is_gguf() ? gguf_config_key(key, source_.architecture()) : std::string(key);
}

bool ConfigReader::contains(std::string_view key) const {
  const std::string name = file_key(key);
  return !name.empty() && metadata().contains(name);
}

bool ConfigReader::contains_null(std::string_view key) const {
  const auto found = metadata().entries().find(file_key(key));
  return found != metadata().entries().end() && std::holds_alternative<std::monostate>(found->second.value);
}

std::int64_t ConfigReader::dimension(std::string_view key, std::int64_t high) const {
  return metadata().require_int_in(file_key(key), 1, high);
}

std::int64_t ConfigReader::dimension_or(std::string_view key, std::int64_t fallback,
                                        std::int64_t high) const {
  return find_integer(key, 1, high).value_or(fallback);
}

std::optional<std::int64_t> ConfigReader::find_integer(std::string_view key, std::int64_t low,
                                                       std::int64_t high) const {
  const std::string name = file_key(key);
  if (name.empty() || !metadata().find_int(name)) return std::nullopt;
  return metadata().require_int_in(name, low, high);
}

std::optional<double> ConfigReader::find_positive(std::string_view key) const {
  const std::string name = file_key(key);
  if (name.empty()) return std::nullopt;
  const std::optional<double> value = metadata().find_float(name);
  if (value && !(std::isfinite(*value) && *value > 0.0)) {
    wrong(key, "a finite number above zero", fmt::format("{}", *value));
  }
  return value;
}

double ConfigReader::positive(std::string_view key) const {
  const std::optional<double> value = find_positive(key);
  if (!value) wrong(key, "a number", "no such key");
  return *value;
}

double ConfigReader::positive_or(std::string_view key, double fallback) const {
  return find_positive(key).value_or(fallback);
}

double ConfigReader::positive_or_none(std::string_view key, double when_missing) const {
  return contains_null(key) ? 0.0 : positive_or(key, when_missing);
}

std::int64_t ConfigReader::window_or(std::string_view key, std::int64_t when_missing) const {
  return contains_null(key) ? 0 : find_integer(key, 0, kLargestPosition).value_or(when_missing);
}

std::optional<std::vector<bool>> ConfigReader::sliding_layers(std::int64_t num_hidden_layers) const {
  const Metadata::StringArray* types = is_gguf() ? nullptr : metadata().find_strings("layer_types");
  if (types == nullptr) return std::nullopt;
  if (static_cast<std::int64_t>(types->size()) != num_hidden_layers) {
    wrong("layer_types", fmt::format("one entry for each of {} layers", num_hidden_layers),
          fmt::format("{}", types->size()));
  }
  std::vector<bool> sliding;
  for (const std::string_view type : *types) {
    if (type != "full_attention" && type != "sliding_attention") {
      unsupported("layer_types", "full_attention or sliding_attention", type);
    }
    sliding.push_back(type == "sliding_attention");
  }
  return sliding;
}

bool ConfigReader::boolean_or(std::string_view key, bool fallback) const {
  const std::string name = file_key(key);
  if (name.empty()) return fallback;
  return metadata().find_bool(name).value_or(fallback);
}

std::string_view ConfigReader::text_or(std::string_view key, std::string_view fallback) const {
  const std::string name = file_key(key);
  if (name.empty()) return fallback;
  return metadata().find_string(name).value_or(fallback);
}

ops::Activation ConfigReader::activation(std::string_view key, std::string_view fallback) const {
  const std::string_view wanted = text_or(key, fallback);
  try {
    return ops::activation_from_name(wanted);
  } catch (const Error&) {
    unsupported(key, "silu, swish, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh or relu", wanted);
  }
}

void ConfigReader::forbid_true(std::string_view key) const {
  if (boolean_or(key, false)) unsupported(key, "false", "true");
}

void ConfigReader::unsupported(std::string_view key, std::string_view expected,
                               std::string_view found) const {
  const std::string name = file_key(key);
  fail(ErrorKind::unsupported, "{}: expected {}, found {}", metadata().where(name.empty() ? key : name),
       expected, printable(found, 200));
}

void ConfigReader::wrong(std::string_view key, std::string_view expected, std::string_view found) const {
  const std::string name = file_key(key);
  fail(ErrorKind::bad_input, "{}: expected {}, found {}", metadata().where(name.empty() ? key : name),
       expected, printable(found, 200));
}

}  // namespace tessera::models
