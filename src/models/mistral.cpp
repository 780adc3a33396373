// Mistral 7B (Jiang et al. 2023): Llama with a sliding window over the keys in every layer.
#include <memory>

#include "models/architecture.h"
#include "models/decoder_model.h"

namespace tessera::models {
namespace {

std::unique_ptr<Model> create_mistral(const WeightSource& source, const ModelOptions& options) {
  const ConfigReader config(source);
  WeightLoader weights(source, {}, options.weight_form);
  const DecoderDimensions d = read_dimensions(config, weights, 131072);
  const ops::Activation activation = config.activation("hidden_act", "silu");
  config.forbid_true("attention_bias");
  const std::int64_t window = config.window_or("sliding_window", 4096);
  const auto rotary = std::make_shared<const nn::RotaryEmbedding>(
      read_rotary(config, weights,
                  {.head_dim = d.head_dim,
                   .max_position_embeddings = d.max_position_embeddings,
                   .context_size = options.context_size}));

  auto model =
      std::make_unique<DecoderModel>("mistral", d, weights, config.boolean_or("tie_word_embeddings", false));
  for (std::int64_t layer = 0; layer < d.num_hidden_layers; ++layer) {
    const AttentionChoice choice{.rotary = rotary, .sliding_window = window};
    model->add_layer(weights, load_attention(weights, layer, d, choice),
                     load_gated_mlp(weights, layer, d, activation, Bias::none));
  }
  model->finish(weights);
  return model;
}

}  // namespace

Architecture mistral() { return {{"mistral", {"MistralForCausalLM"}, {}}, create_mistral}; }

}  // namespace tessera::models
