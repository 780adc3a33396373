// Llama 1 to 3.x (Touvron et al. 2023; Grattafiori et al. 2024), and what is built like it: SmolLM, SmolLM2,
// TinyLlama, and Mistral in GGUF, which calls it llama. GGUF stores q and k permuted, so that rotated pairs
// lie side by side.
#include <memory>

#include "models/architecture.h"
#include "models/decoder_model.h"

namespace tessera::models {
namespace {

std::unique_ptr<Model> create_llama(const WeightSource& source, const ModelOptions& options) {
  const ConfigReader config(source);
  WeightLoader weights(source, {}, options.weight_form);
  const DecoderDimensions d = read_dimensions(config, weights, 2048);
  const ops::Activation activation = config.activation("hidden_act", "silu");
  const Bias attention_bias = config.boolean_or("attention_bias", false) ? Bias::required : Bias::gguf_only;
  const Bias mlp_bias = config.boolean_or("mlp_bias", false) ? Bias::required : Bias::gguf_only;
  const auto rotary = std::make_shared<const nn::RotaryEmbedding>(
      read_rotary(config, weights,
                  {.head_dim = d.head_dim,
                   .max_position_embeddings = d.max_position_embeddings,
                   .gguf_permuted = true,
                   .context_size = options.context_size}));
  const std::int64_t window = config.is_gguf() ? config.window_or("sliding_window", 0) : 0;

  auto model =
      std::make_unique<DecoderModel>("llama", d, weights, config.boolean_or("tie_word_embeddings", false));
  weights.interleave_heads(d.head_dim);
  for (std::int64_t layer = 0; layer < d.num_hidden_layers; ++layer) {
    const AttentionChoice choice{.rotary = rotary,
                                 .sliding_window = window,
                                 .qkv_bias = attention_bias,
                                 .output_bias = attention_bias};
    model->add_layer(weights, load_attention(weights, layer, d, choice),
                     load_gated_mlp(weights, layer, d, activation, mlp_bias));
  }
  model->finish(weights);
  return model;
}

}  // namespace

Architecture llama() { return {{"llama", {"LlamaForCausalLM"}, {"llama"}}, create_llama}; }

}  // namespace tessera::models
