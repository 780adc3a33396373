// Qwen2 and Qwen2.5 (Yang et al. 2024): Llama with biases on q, k and v, and a sliding window in its upper
// layers if asked.
#include <memory>

#include "models/architecture.h"
#include "models/decoder_model.h"

namespace tessera::models {
namespace {

std::unique_ptr<Model> create_qwen2(const WeightSource& source, const ModelOptions& options) {
  const ConfigReader config(source);
  WeightLoader weights(source, {}, options.weight_form);
  const DecoderDimensions d = read_dimensions(config, weights, 32768);
  const ops::Activation activation = config.activation("hidden_act", "silu");
  const std::int64_t window =
      config.boolean_or("use_sliding_window", false) ? config.window_or("sliding_window", 4096) : 0;
  const std::int64_t first_sliding = config.find_integer("max_window_layers", 0, kLargestCount).value_or(28);
  const auto sliding = config.sliding_layers(d.num_hidden_layers);
  const auto rotary = std::make_shared<const nn::RotaryEmbedding>(
      read_rotary(config, weights,
                  {.head_dim = d.head_dim,
                   .max_position_embeddings = d.max_position_embeddings,
                   .context_size = options.context_size}));

  auto model =
      std::make_unique<DecoderModel>("qwen2", d, weights, config.boolean_or("tie_word_embeddings", false));
  for (std::int64_t layer = 0; layer < d.num_hidden_layers; ++layer) {
    const bool slides = sliding ? (*sliding)[static_cast<std::size_t>(layer)] : layer >= first_sliding;
    const AttentionChoice choice{
        .rotary = rotary, .sliding_window = slides ? window : 0, .qkv_bias = Bias::required};
    model->add_layer(weights, load_attention(weights, layer, d, choice),
                     load_gated_mlp(weights, layer, d, activation, Bias::none));
  }
  model->finish(weights);
  return model;
}

}  // namespace

Architecture qwen2() { return {{"qwen2", {"Qwen2ForCausalLM"}, {"qwen2"}}, create_qwen2}; }

}  // namespace tessera::models
