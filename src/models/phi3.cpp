// Phi-3 and Phi-4-mini (Abdin et al. 2024): Llama with q, k and v in one matrix, gate and up in another, and
// longrope. Its rope uses one set of factors up to the trained context and another beyond it;
// ModelOptions::context_size decides.
#include <cmath>
#include <memory>

#include "models/architecture.h"
#include "models/decoder_model.h"

namespace tessera::models {
namespace {

nn::SelfAttention load_fused_attention(WeightLoader& weights, std::int64_t layer,
                                       const DecoderDimensions& d) {
  const std::int64_t query_features = d.num_attention_heads * d.head_dim;
  const std::int64_t key_value_features = d.num_key_value_heads * d.head_dim;
  const nn::Linear fused = weights.linear(layer, "self_attn.qkv_proj",
                                          query_features + 2 * key_value_features, d.hidden_size, Bias::none);
  nn::SelfAttention attention;
  nn::split_fused_projection(fused, query_features, key_value_features, attention);
  attention.o_proj = weights.linear(layer, "self_attn.o_proj", d.hidden_size, query_features, Bias::none);
  attention.head_dim = d.head_dim;
  attention.parameters.scale = 1.0F / std::sqrt(static_cast<float>(d.head_dim));
  return attention;
}

std::unique_ptr<Model> create_phi3(const WeightSource& source, const ModelOptions& options) {
  const ConfigReader config(source);
  WeightLoader weights(source, {}, options.weight_form);
  DecoderDimensions d = read_dimensions(config, weights, 4096);
  d.attention.clear();  // a fused projection knows no other mechanism
  const ops::Activation activation = config.activation("hidden_act", "silu");
  config.forbid_true("attention_bias");
  config.forbid_true("mlp_bias");
  const nn::RotaryParameters rope = read_rotary(config, weights,
                                                {.head_dim = d.head_dim,
                                                 .max_position_embeddings = d.max_position_embeddings,
                                                 .yarn_is_longrope = true,
                                                 .context_size = options.context_size});
  const auto rotary = std::make_shared<const nn::RotaryEmbedding>(rope);
  const std::int64_t window = config.window_or("sliding_window", 0);

  auto model =
      std::make_unique<DecoderModel>("phi3", d, weights, config.boolean_or("tie_word_embeddings", false));
  for (std::int64_t layer = 0; layer < d.num_hidden_layers; ++layer) {
    nn::SelfAttention self_attn = load_fused_attention(weights, layer, d);
    self_attn.rotary = rotary;
    self_attn.parameters.sliding_window = window;
    nn::Linear gate_up =
        weights.linear(layer, "mlp.gate_up_proj", 2 * d.intermediate_size, d.hidden_size, Bias::none);
    nn::Linear down = weights.linear(layer, "mlp.down_proj", d.hidden_size, d.intermediate_size, Bias::none);
    model->add_layer(weights, std::move(self_attn),
                     nn::GatedMlp(std::move(gate_up), std::move(down), activation));
  }
  if (rope.type == nn::RopeType::longrope && !rope.long_context) {
    model->limit_positions(std::min(rope.original_max_position_embeddings, d.max_position_embeddings));
  }
  model->finish(weights);
  return model;
}

}  // namespace

Architecture phi3() { return {{"phi3", {"Phi3ForCausalLM"}, {"phi3"}}, create_phi3}; }

}  // namespace tessera::models
