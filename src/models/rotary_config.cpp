#include "models/rotary_config.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.h"

namespace tessera::models {
namespace {

using nn::RopeType;
using nn::RotaryParameters;

class RotaryConfigReader {
 public:
  RotaryConfigReader(const ConfigReader& config, WeightLoader& weights, const RotaryRequest& request)
      : config_(config), weights_(weights), request_(request) {}

  RotaryParameters read() {
    RotaryParameters p;
    read_dimensions(p);
    if (!request_.scaled) return p;
    p.type = type();
    p.original_max_position_embeddings = trained_context(p.type);
    if (p.type != RopeType::none) p.factor = number("factor").value_or(1.0);
    if (p.type == RopeType::dynamic || p.type == RopeType::linear || p.type == RopeType::llama3)
      require("factor");
    if (p.type == RopeType::llama3) read_llama3(p);
    if (p.type == RopeType::yarn) read_yarn(p);
    if (p.type == RopeType::longrope) read_longrope(p);
    if (config_.is_gguf()) {
      read_first_linear(p);
      read_stored_factors(p);
    }
    return p;
  }

 private:
  // The key under which this file keeps `name` of the rope dictionary: the first dictionary that has it.
  std::string key(std::string_view name) const {
    if (config_.is_gguf()) return fmt::format("rope_scaling.{}", name);
    for (const std::string_view dictionary : request_.dictionaries) {
      std::string candidate = fmt::format("{}{}", dictionary, name);
      if (config_.contains(candidate)) return candidate;
    }
    return fmt::format("{}{}", request_.dictionaries.front(), name);
  }
  std::optional<double> number(std::string_view name) const { return config_.find_positive(key(name)); }
  double require(std::string_view name) const { return config_.positive(key(name)); }

  void read_dimensions(RotaryParameters& p) const {
    const std::string theta = key("rope_theta");
    p.theta = config_.positive_or(!config_.is_gguf() && config_.contains(theta) ? theta : request_.theta_key,
                                  request_.default_theta);
    p.layout = config_.is_gguf() && request_.gguf_permuted ? ops::RotaryLayout::interleaved
                                                           : ops::RotaryLayout::half;
    const std::int64_t whole = request_.head_dim;
    const std::string share_key = config_.contains(key("partial_rotary_factor"))
                                      ? key("partial_rotary_factor")
                                      : "partial_rotary_factor";
    const double share = config_.positive_or(share_key, 1.0);
    if (share > 1.0) config_.wrong(share_key, "a share of at most 1", fmt::format("{}", share));
    p.rotary_dim = config_.is_gguf() ? config_.dimension_or("rope.dimension_count", whole, whole)
                                     : static_cast<std::int64_t>(static_cast<double>(whole) * share);
    if (p.rotary_dim < 2 || p.rotary_dim % 2 != 0) {
      config_.wrong(config_.is_gguf() ? "rope.dimension_count" : share_key,
                    "an even number of rotated dimensions",
                    fmt::format("{} of head_dim {}", p.rotary_dim, whole));
    }
  }

  RopeType type() const {
    std::string name_key = key("rope_type");
    if (!config_.contains(name_key) && config_.contains(key("type"))) name_key = key("type");
    const std::string_view name = config_.text_or(name_key, "default");
    const std::optional<RopeType> found = nn::rope_type_from_name(name);
    if (!found) config_.unsupported(name_key, "default, linear, dynamic, llama3, yarn or longrope", name);
    if (*found == RopeType::yarn && request_.yarn_is_longrope) return RopeType::longrope;
    const bool stored_sets = config_.is_gguf() && weights_.contains("rope_factors_short.weight");
    return *found == RopeType::none && stored_sets ? RopeType::longrope : *found;
  }

  // Where the model was trained before it was stretched; Phi-3 keeps it outside the dictionary.
  std::int64_t trained_context(RopeType type) const {
    if (type == RopeType::dynamic) return request_.max_position_embeddings;
    constexpr std::string_view kName = "original_max_position_embeddings";
    const std::string inner = key(kName);
    const bool outside = config_.is_gguf() || config_.contains(kName) || !config_.contains(inner);
    return config_.dimension_or(outside ? kName : std::string_view(inner), request_.max_position_embeddings,
                                kLargestPosition);
  }

  void read_llama3(RotaryParameters& p) const {
    p.low_freq_factor = require("low_freq_factor");
    p.high_freq_factor = require("high_freq_factor");
    if (p.high_freq_factor <= p.low_freq_factor) {
      config_.wrong(key("high_freq_factor"), "more than low_freq_factor",
                    fmt::format("{}", p.high_freq_factor));
    }
  }

  void read_yarn(RotaryParameters& p) const {
    const double stretch = static_cast<double>(request_.max_position_embeddings) /
                           static_cast<double>(p.original_max_position_embeddings);
    p.factor = number("factor").value_or(stretch);
    if (p.theta <= 1.0) config_.wrong("rope_theta", "a base above 1", fmt::format("{}", p.theta));
    p.beta_fast = number("beta_fast").value_or(32.0);
    p.beta_slow = number("beta_slow").value_or(1.0);
    if (config_.is_gguf()) {
      read_gguf_yarn(p);
      return;
    }
    p.truncate = config_.boolean_or(key("truncate"), true);
    p.attention_factor = number("attention_factor");
    p.mscale = number("mscale");
    p.mscale_all_dim = number("mscale_all_dim");
  }

  // GGUF keeps a factor on top of the paper's magnitude; its other two knobs belong to architectures not
  // built here.
  void read_gguf_yarn(RotaryParameters& p) const {
    for (const std::string_view name : {"rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor"}) {
      const double value = config_.positive_or(name, 1.0);
      if (value != 1.0) config_.unsupported(name, "1", fmt::format("{}", value));
    }
    if (config_.contains("rope.scaling.yarn_log_multiplier")) {
      config_.unsupported("rope.scaling.yarn_log_multiplier", "no such key", "one");
    }
    if (const auto extra = config_.find_positive("rope.scaling.attn_factor")) {
      p.attention_factor = *extra * (p.factor <= 1.0 ? 1.0 : 0.1 * std::log(p.factor) + 1.0);
    }
  }

  void read_longrope(RotaryParameters& p) const {
    p.factor = number("factor").value_or(static_cast<double>(request_.max_position_embeddings) /
                                         static_cast<double>(p.original_max_position_embeddings));
    if (p.original_max_position_embeddings < 2) {
      config_.wrong("original_max_position_embeddings", "at least 2",
                    fmt::format("{}", p.original_max_position_embeddings));
    }
    p.attention_factor =
        config_.is_gguf() ? config_.find_positive("rope.scaling.attn_factor") : number("attention_factor");
    p.long_context = request_.context_size > p.original_max_position_embeddings;
    if (config_.is_gguf()) return;
    p.frequency_factors = factor_list("short_factor", p.rotary_dim / 2);
    std::vector<float> long_factors = factor_list("long_factor", p.rotary_dim / 2);
    if (p.long_context) p.frequency_factors = std::move(long_factors);
  }

  std::vector<float> factor_list(std::string_view name, std::int64_t size) const {
    const std::string list_key = key(name);
    const auto values = config_.metadata().find_floats(list_key);
    const auto usable = [](double value) { return std::isfinite(value) && value > 0.0; };
    if (!values || static_cast<std::int64_t>(values->size()) != size ||
        !std::all_of(values->begin(), values->end(), usable)) {
      config_.wrong(list_key, fmt::format("a list of {} positive numbers", size),
                    values ? fmt::format("{} numbers", values->size()) : "no such list");
    }
    std::vector<float> factors(values->size());
    std::transform(values->begin(), values->end(), factors.begin(),
                   [](double v) { return static_cast<float>(v); });
    return factors;
  }

  // GGUF's first way to say linear, before rope.scaling.type.
  void read_first_linear(RotaryParameters& p) const {
    const double divisor = config_.positive_or("rope.scale_linear", 1.0);
    if (p.type != RopeType::none || divisor == 1.0) return;
    p.type = RopeType::linear;
    p.factor = divisor;
  }

  // GGUF stores llama3's scaling, and longrope's two sets, as ready divisors in tensors of their own.
  void read_stored_factors(RotaryParameters& p) {
    if (p.type != RopeType::longrope) {
      if (weights_.contains("rope_freqs.weight"))
        p.frequency_factors = stored("rope_freqs.weight", p.rotary_dim / 2);
      return;
    }
    const std::vector<float> long_factors = stored("rope_factors_long.weight", p.rotary_dim / 2);
    p.frequency_factors = stored("rope_factors_short.weight", p.rotary_dim / 2);
    if (p.long_context) p.frequency_factors = long_factors;
  }

  std::vector<float> stored(const std::string& name, std::int64_t size) {
    const Tensor tensor = load_expecting(config_.source(), name, {size});
    if (tensor.dtype() != DType::f32) {
      fail(ErrorKind::unsupported, "{}: tensor '{}': expected F32, found {}", config_.origin(), name,
           tessera::name(tensor.dtype()));
    }
    weights_.mark_used(name);
    const std::span<const float> values = tensor.as<float>();
    if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v) && v > 0.0F; })) {
      fail(ErrorKind::bad_input, "{}: tensor '{}': expected positive factors, found one that is not",
           config_.origin(), name);
    }
    return {values.begin(), values.end()};
  }

  const ConfigReader& config_;
  WeightLoader& weights_;
  const RotaryRequest& request_;
};

}  // namespace

RotaryParameters read_rotary(const ConfigReader& config, WeightLoader& weights,
                             const RotaryRequest& request) {
  return RotaryConfigReader(config, weights, request).read();
}

}  // namespace tessera::models
