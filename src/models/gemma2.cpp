// Gemma 2 (Gemma Team 2024): every second layer slides, scores and logits are capped by tanh.
#include <memory>

#include "models/architecture.h"
#include "models/gemma_model.h"

namespace tessera::models {
namespace {

// GGUF has no key for it: the 27B model, the one with 46 layers, divides by hidden_size / heads, the others
// by head_dim.
double query_scalar(const ConfigReader& config, const DecoderDimensions& d) {
  if (!config.is_gguf()) return config.positive_or("query_pre_attn_scalar", 256.0);
  constexpr std::int64_t kLayersOf27B = 46;
  return static_cast<double>(d.num_hidden_layers == kLayersOf27B ? d.hidden_size / d.num_attention_heads
                                                                 : d.head_dim);
}

std::unique_ptr<Model> create_gemma2(const WeightSource& source, const ModelOptions& options) {
  const ConfigReader config(source);
  WeightLoader weights(source, gemma_naming(), options.weight_form);
  const DecoderDimensions d = read_dimensions(config, weights, 8192, 256);
  GemmaChoice choice;
  choice.architecture = "gemma2";
  choice.sliding_window = config.window_or("sliding_window", 4096);
  if (auto listed = config.sliding_layers(d.num_hidden_layers)) {
    choice.sliding_layers = std::move(*listed);
  } else {
    for (std::int64_t layer = 0; layer < d.num_hidden_layers; ++layer)
      choice.sliding_layers.push_back(layer % 2 == 0);
  }
  choice.global_rotary = std::make_shared<const nn::RotaryEmbedding>(
      read_rotary(config, weights,
                  {.head_dim = d.head_dim,
                   .max_position_embeddings = d.max_position_embeddings,
                   .context_size = options.context_size}));
  choice.local_rotary = choice.global_rotary;
  choice.query_pre_attn_scalar = query_scalar(config, d);
  choice.attn_logit_softcapping = config.positive_or_none("attn_logit_softcapping", 50.0);
  choice.final_logit_softcapping = config.positive_or_none("final_logit_softcapping", 30.0);
  return std::make_unique<GemmaModel>(config, weights, d, choice);
}

}  // namespace

Architecture gemma2() { return {{"gemma2", {"Gemma2ForCausalLM"}, {"gemma2"}}, create_gemma2}; }

}  // namespace tessera::models
