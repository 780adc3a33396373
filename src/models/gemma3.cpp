// Gemma 3, text (Gemma Team 2025): five sliding layers to one that sees everything, each kind with its own
// rotation, and a norm over each query and key head instead of Gemma 2's caps.
#include <fmt/core.h>

#include <memory>

#include "models/architecture.h"
#include "models/gemma_model.h"

namespace tessera::models {
namespace {

// GGUF has no key for it: the 27B model, the one with 62 layers, divides by hidden_size / heads, the others
// by head_dim.
double query_scalar(const ConfigReader& config, const DecoderDimensions& d) {
  if (!config.is_gguf()) return config.positive_or("query_pre_attn_scalar", 256.0);
  constexpr std::int64_t kLayersOf27B = 62;
  return static_cast<double>(d.num_hidden_layers == kLayersOf27B ? d.hidden_size / d.num_attention_heads
                                                                 : d.head_dim);
}

std::vector<bool> sliding_layers(const ConfigReader& config, std::int64_t num_hidden_layers) {
  if (auto listed = config.sliding_layers(num_hidden_layers)) return std::move(*listed);
  // Older files count instead: every `pattern`th layer sees everything.
  const std::int64_t pattern = config.dimension_or("sliding_window_pattern", 6);
  std::vector<bool> sliding;
  sliding.reserve(static_cast<std::size_t>(num_hidden_layers));
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer)
    sliding.push_back((layer + 1) % pattern != 0);
  return sliding;
}

std::unique_ptr<Model> create_gemma3(const WeightSource& source, const ModelOptions& options) {
  const ConfigReader config(source);
  WeightLoader weights(source, gemma_naming(), options.weight_form);
  const DecoderDimensions d = read_dimensions(config, weights, 131072, 256);
  GemmaChoice choice;
  choice.architecture = "gemma3";
  choice.sliding_window = config.window_or("sliding_window", 4096);
  choice.sliding_layers = sliding_layers(config, d.num_hidden_layers);
  choice.global_rotary = std::make_shared<const nn::RotaryEmbedding>(
      read_rotary(config, weights,
                  {.head_dim = d.head_dim,
                   .max_position_embeddings = d.max_position_embeddings,
                   .default_theta = 1000000.0,
                   .dictionaries = {"rope_scaling.", "rope_parameters.full_attention."},
                   .context_size = options.context_size}));
  choice.local_rotary = std::make_shared<const nn::RotaryEmbedding>(
      read_rotary(config, weights,
                  {.head_dim = d.head_dim,
                   .max_position_embeddings = d.max_position_embeddings,
                   .theta_key = "rope_local_base_freq",
                   .dictionaries = {"rope_parameters.sliding_attention."},
                   .scaled = !config.is_gguf(),
                   .context_size = options.context_size}));
  choice.query_pre_attn_scalar = query_scalar(config, d);
  if (const double cap = config.positive_or_none("attn_logit_softcapping", 0.0); cap != 0.0) {
    config.unsupported("attn_logit_softcapping", "none in Gemma 3", fmt::format("{}", cap));
  }
  choice.final_logit_softcapping = config.positive_or_none("final_logit_softcapping", 0.0);
  choice.query_key_norm = true;
  return std::make_unique<GemmaModel>(config, weights, d, choice);
}

}  // namespace

Architecture gemma3() { return {{"gemma3", {"Gemma3ForCausalLM"}, {"gemma3"}}, create_gemma3}; }

}  // namespace tessera::models
