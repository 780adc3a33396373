// SmolLM3 (Hugging Face 2025): Llama in which every fourth layer has no position at all (NoPE: Kazemnejad et
// al. 2023).
#include <fmt/core.h>

#include <memory>

#include "models/architecture.h"
#include "models/decoder_model.h"

namespace tessera::models {
namespace {

// Whether each layer rotates q and k. GGUF does not say; there it is always three of four.
std::vector<bool> rotated_layers(const ConfigReader& config, std::int64_t num_hidden_layers) {
  const Metadata::IntegerArray* listed =
      config.is_gguf() ? nullptr : config.metadata().find_ints("no_rope_layers");
  if (listed != nullptr && static_cast<std::int64_t>(listed->size()) < num_hidden_layers) {
    config.wrong("no_rope_layers", fmt::format("an entry for each of {} layers", num_hidden_layers),
                 fmt::format("{}", listed->size()));
  }
  const std::int64_t interval = config.dimension_or("no_rope_layer_interval", 4);
  std::vector<bool> rotated;
  for (std::int64_t layer = 0; layer < num_hidden_layers; ++layer) {
    // Despite its name, a 1 in no_rope_layers means that the layer rotates.
    rotated.push_back(listed != nullptr ? (*listed)[static_cast<std::size_t>(layer)] != 0
                                        : (layer + 1) % interval != 0);
  }
  return rotated;
}

std::unique_ptr<Model> create_smollm3(const WeightSource& source, const ModelOptions& options) {
  const ConfigReader config(source);
  WeightLoader weights(source, {}, options.weight_form);
  const DecoderDimensions d = read_dimensions(config, weights, 32768);
  const ops::Activation activation = config.activation("hidden_act", "silu");
  const Bias attention_bias = config.boolean_or("attention_bias", false) ? Bias::required : Bias::gguf_only;
  const Bias mlp_bias = config.boolean_or("mlp_bias", false) ? Bias::required : Bias::gguf_only;
  const std::int64_t window =
      config.boolean_or("use_sliding_window", false) ? config.window_or("sliding_window", 0) : 0;
  const std::vector<bool> rotated = rotated_layers(config, d.num_hidden_layers);
  const auto sliding = config.sliding_layers(d.num_hidden_layers);
  const auto rotary = std::make_shared<const nn::RotaryEmbedding>(
      read_rotary(config, weights,
                  {.head_dim = d.head_dim,
                   .max_position_embeddings = d.max_position_embeddings,
                   .default_theta = 2000000.0,
                   .gguf_permuted = true,
                   .context_size = options.context_size}));

  auto model =
      std::make_unique<DecoderModel>("smollm3", d, weights, config.boolean_or("tie_word_embeddings", true));
  weights.interleave_heads(d.head_dim);
  for (std::int64_t layer = 0; layer < d.num_hidden_layers; ++layer) {
    const auto index = static_cast<std::size_t>(layer);
    const bool slides = sliding ? (*sliding)[index] : !rotated[index];
    const AttentionChoice choice{.rotary = rotated[index] ? rotary : nullptr,
                                 .sliding_window = slides ? window : 0,
                                 .qkv_bias = attention_bias,
                                 .output_bias = attention_bias};
    model->add_layer(weights, load_attention(weights, layer, d, choice),
                     load_gated_mlp(weights, layer, d, activation, mlp_bias));
  }
  model->finish(weights);
  return model;
}

}  // namespace

Architecture smollm3() { return {{"smollm3", {"SmolLM3ForCausalLM"}, {"smollm3"}}, create_smollm3}; }

}  // namespace tessera::models
