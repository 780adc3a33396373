#include "models/attention_reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"
#include "nn/attention/attention_factory.h"

namespace tessera::models {
namespace {

using nn::AttentionKind;

constexpr std::string_view kOneForAll = "attention_mechanism";
constexpr std::string_view kOneEach = "attention_mechanisms";
constexpr std::int64_t kDefaultColumns = 8;       // Child et al. 2019: 8, 16 or 32
constexpr std::int64_t kDefaultBlock = 64;        // Zaheer et al. 2020
constexpr std::int64_t kDefaultRandomBlocks = 3;  // likewise

class AttentionReader {
 public:
  AttentionReader(const ConfigReader& config, std::int64_t positions)
      : config_(&config), positions_(positions) {}

  nn::AttentionConfig layer(std::string_view key, std::string_view name) {
    const AttentionKind kind = kind_of(key, name);
    if (kind != AttentionKind::sparse_heads) return {kind, patterns_of(kind)};
    nn::AttentionConfig layer{kind, {}};
    const Metadata::StringArray* heads = config_->metadata().find_strings("attention_heads");
    used_.emplace_back("attention_heads");
    if (heads == nullptr || heads->empty()) {
      config_->wrong("attention_heads", "a list of sparse_local, sparse_strided and sparse_fixed", "none");
    }
    for (const std::string_view head : *heads) {
      const AttentionKind pattern = kind_of("attention_heads", head);
      if (pattern != AttentionKind::sparse_local && pattern != AttentionKind::sparse_strided &&
          pattern != AttentionKind::sparse_fixed) {
        config_->wrong("attention_heads", "sparse_local, sparse_strided or sparse_fixed", head);
      }
      layer.patterns.push_back(patterns_of(pattern).front());
    }
    return layer;
  }

  // A setting that changes nothing is a mistake.
  void expect_all_used() const {
    for (const std::string_view key :
         {"attention_window", "attention_stride", "attention_columns", "attention_heads", "attention_block",
          "attention_random_blocks", "attention_seed"}) {
      if (!config_->contains(key) || std::ranges::find(used_, key) != used_.end()) continue;
      config_->wrong(key, "an attention_mechanism that has this setting", "none");
    }
  }

 private:
  AttentionKind kind_of(std::string_view key, std::string_view name) const {
    std::string known;
    for (const std::string_view candidate : nn::attention_kind_names()) {
      if (candidate == name) return nn::attention_kind_from_name(name);
      known.append(known.empty() ? "" : ", ").append(candidate);
    }
    config_->unsupported(key, known, name);
  }

  std::int64_t setting(std::string_view key, std::int64_t low, std::int64_t high, std::int64_t fallback) {
    used_.emplace_back(key);
    return config_->find_integer(key, low, high).value_or(fallback);
  }
  std::int64_t required(std::string_view key) {
    const std::int64_t value = setting(key, 1, kLargestPosition, 0);
    if (value == 0) config_->wrong(key, "a number of tokens", "none");
    return value;
  }
  std::int64_t local_window() {
    if (config_->contains("attention_window") || !config_->contains("attention_stride")) {
      return required("attention_window");
    }
    return required("attention_stride");
  }

  AttentionPattern bigbird() {
    AttentionPattern pattern{.kind = PatternKind::bigbird, .length = positions_};
    pattern.block = setting("attention_block", 1, kLargestPosition, kDefaultBlock);
    pattern.random_blocks = setting("attention_random_blocks", 0, kLargestCount, kDefaultRandomBlocks);
    pattern.seed = static_cast<std::uint64_t>(setting("attention_seed", 0, kLargestSeed, 0));
    return pattern;
  }

  std::vector<AttentionPattern> patterns_of(AttentionKind kind) {
    switch (kind) {
      case AttentionKind::sliding_window:
        return {{.kind = PatternKind::sliding_window, .window = required("attention_window")}};
      case AttentionKind::sparse_local:
        return {{.kind = PatternKind::sliding_window, .window = local_window()}};
      case AttentionKind::sparse_strided:
        return {{.kind = PatternKind::strided, .stride = required("attention_stride")}};
      case AttentionKind::sparse_fixed: {
        const std::int64_t stride = required("attention_stride");
        const std::int64_t columns =
            setting("attention_columns", 0, stride, std::min(stride, kDefaultColumns));
        return {{.kind = PatternKind::fixed, .stride = stride, .columns = columns}};
      }
      case AttentionKind::bigbird:
        return {bigbird()};
      default:
        return {};
    }
  }

  static constexpr std::int64_t kLargestSeed = std::int64_t{1} << 53;  // what JSON numbers hold exactly

  const ConfigReader* config_;
  std::int64_t positions_;
  std::vector<std::string> used_;  // settings
};

}  // namespace

std::vector<nn::AttentionConfig> read_attention_configs(const ConfigReader& config,
                                                        std::int64_t num_hidden_layers,
                                                        std::int64_t positions) {
  std::vector<nn::AttentionConfig> layers(static_cast<std::size_t>(num_hidden_layers));
  if (config.is_gguf()) return layers;
  AttentionReader reader(config, positions);
  const Metadata::StringArray* listed = config.metadata().find_strings(kOneEach);
  if (config.contains(kOneForAll)) {
    if (listed != nullptr) config.wrong(kOneEach, "no attention_mechanism beside it", "both");
    const nn::AttentionConfig all = reader.layer(kOneForAll, config.text_or(kOneForAll, ""));
    for (nn::AttentionConfig& layer : layers) layer = all;
  } else if (listed != nullptr) {
    if (listed->size() != layers.size()) {
      config.wrong(kOneEach, fmt::format("a name for each of {} layers", layers.size()),
                   fmt::format("{}", listed->size()));
    }
    for (std::size_t i = 0; i < layers.size(); ++i) layers[i] = reader.layer(kOneEach, (*listed)[i]);
  }
  reader.expect_all_used();
  return layers;
}

void expect_full_attention(const ConfigReader& config, std::span<const nn::AttentionConfig> layers) {
  for (const nn::AttentionConfig& layer : layers) {
    if (layer.kind == nn::AttentionKind::flash || layer.kind == nn::AttentionKind::dense) continue;
    config.unsupported(
        config.contains("attention_mechanism") ? "attention_mechanism" : "attention_mechanisms",
        "dense or flash, which GGUF means", nn::attention_kind_name(layer.kind));
  }
}

}  // namespace tessera::models
