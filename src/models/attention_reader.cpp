#include "models/attention_reader.h"

#include <fmt/core.h>

#include <string>

#include "base/error.h"
#include "nn/attention/attention_factory.h"

namespace tessera::models {
namespace {

constexpr std::string_view kOneForAll = "attention_mechanism";
constexpr std::string_view kOneEach = "attention_mechanisms";

nn::AttentionKind kind_of(const ConfigReader& config, std::string_view key, std::string_view name) {
  std::string known;
  for (const std::string_view candidate : nn::attention_kind_names()) {
    if (candidate == name) return nn::attention_kind_from_name(name);
    known.append(known.empty() ? "" : ", ").append(candidate);
  }
  config.unsupported(key, known, name);
}

}  // namespace

std::vector<nn::AttentionConfig> read_attention_configs(const ConfigReader& config,
                                                        std::int64_t num_hidden_layers) {
  std::vector<nn::AttentionConfig> layers(static_cast<std::size_t>(num_hidden_layers));
  if (config.is_gguf()) return layers;
  const Metadata::StringArray* listed = config.metadata().find_strings(kOneEach);
  if (config.contains(kOneForAll)) {
    if (listed != nullptr) config.wrong(kOneEach, "no attention_mechanism beside it", "both");
    const nn::AttentionKind kind = kind_of(config, kOneForAll, config.text_or(kOneForAll, ""));
    for (nn::AttentionConfig& layer : layers) layer.kind = kind;
  } else if (listed != nullptr) {
    if (listed->size() != layers.size()) {
      config.wrong(kOneEach, fmt::format("a name for each of {} layers", layers.size()),
                   fmt::format("{}", listed->size()));
    }
    for (std::size_t i = 0; i < layers.size(); ++i) layers[i].kind = kind_of(config, kOneEach, (*listed)[i]);
  }
  return layers;
}

}  // namespace tessera::models
