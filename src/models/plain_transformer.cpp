// The decoder half of "Attention Is All You Need" (Vaswani et al. 2017) as a language model, without cross
// attention: embeddings times sqrt(C) plus sinusoids, LayerNorm after each residual sum, ReLU, biases, tied
// output matrix.
//
// No published checkpoint has a common name for it, so ours is: architectures
// ["PlainTransformerForCausalLM"], keys
//   vocab_size, hidden_size (d_model), intermediate_size (d_ff), num_hidden_layers (N), num_attention_heads
//   (h), max_position_embeddings, layer_norm_eps (1e-5), hidden_act ("relu"), tie_word_embeddings (true)
// and tensors
//   model.embed_tokens.weight [V, C], lm_head.weight [V, C] unless tied, and for each layer i, below
//   model.layers.i: self_attn.{q,k,v,o}_proj.{weight [C, C], bias}, self_attn_layer_norm.{weight, bias},
//   fc1.{weight [F, C], bias}, fc2.{weight [C, F], bias}, final_layer_norm.{weight, bias}.
#include "models/plain_transformer.h"

#include <cmath>
#include <memory>
#include <utility>

#include "models/architecture.h"
#include "models/attention_reader.h"
#include "models/config_reader.h"
#include "models/linear_mixer_loader.h"
#include "models/weight_loader.h"
#include "nn/attention/self_attention.h"
#include "nn/mlp.h"
#include "ops/activation_checkpoint.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"

namespace tessera::models {
namespace {

class PlainTransformer final : public Model {
 public:
  PlainTransformer(const WeightSource& source, const ModelOptions& options);

  const ModelConfig& config() const override { return config_; }
  Tensor forward(const RaggedBatch& batch, nn::AttentionMechanism& attention) const override;
  Tensor logits(const Tensor& hidden) const override { return lm_head_(hidden); }  // [R, C] → [R, V]
  OutputHead output_head() const override { return {lm_head_.weight()}; }
  std::span<const Parameter> parameters() const override { return parameters_; }
  std::span<const LoraTarget> lora_targets() const override { return lora_targets_; }
  std::int64_t parameter_count() const override { return parameter_count_; }
  std::size_t parameter_bytes() const override { return parameter_bytes_; }

 private:
  struct Layer {
    nn::SelfAttention self_attn;
    nn::LayerNorm self_attn_layer_norm;
    nn::Mlp feed_forward;
    nn::LayerNorm final_layer_norm;
  };
  void read_dimensions(const ConfigReader& config);
  Layer load_layer(WeightLoader& weights, std::int64_t index, ops::Activation activation,
                   double epsilon) const;

  ModelConfig config_;
  nn::Embedding embed_tokens_;
  std::vector<Layer> layers_;
  nn::Linear lm_head_;
  std::vector<Parameter> parameters_;
  std::vector<LoraTarget> lora_targets_;
  std::int64_t parameter_count_ = 0;
  std::size_t parameter_bytes_ = 0;
};

void PlainTransformer::read_dimensions(const ConfigReader& config) {
  config_.architecture = "plain_transformer";
  config_.vocab_size = config.dimension("vocab_size");
  config_.hidden_size = config.dimension("hidden_size");
  config_.intermediate_size = config.dimension("intermediate_size");
  config_.num_hidden_layers = config.dimension("num_hidden_layers", kLargestCount);
  config_.num_attention_heads = config.dimension("num_attention_heads", kLargestCount);
  config_.max_position_embeddings = config.dimension("max_position_embeddings", kLargestPosition);
  config_.attention =
      read_attention_configs(config, config_.num_hidden_layers, config_.max_position_embeddings);
  if (config_.hidden_size % config_.num_attention_heads != 0) {
    config.wrong("num_attention_heads", "a divisor of hidden_size", "another number");
  }
  if (config_.hidden_size % 2 != 0)
    config.wrong("hidden_size", "an even number (sine and cosine)", "an odd one");
}

PlainTransformer::PlainTransformer(const WeightSource& source, const ModelOptions& options) {
  const ConfigReader config(source);
  WeightLoader weights(source, plain_transformer_naming(), options.weight_form);
  read_dimensions(config);
  const ops::Activation activation =
      config.activation(config.is_gguf() ? "activation_function" : "hidden_act", "relu");
  const double epsilon = config.positive_or(config.is_gguf() ? "layer_norm_epsilon" : "layer_norm_eps", 1e-5);
  const std::int64_t hidden = config_.hidden_size;
  embed_tokens_ =
      nn::Embedding(weights.matrix(weights.name("model.embed_tokens", "weight"), config_.vocab_size, hidden));
  lm_head_ = weights.output_head(embed_tokens_, config.boolean_or("tie_word_embeddings", true),
                                 config_.vocab_size, hidden);
  for (std::int64_t index = 0; index < config_.num_hidden_layers; ++index) {
    layers_.push_back(load_layer(weights, index, activation, epsilon));
    const nn::SelfAttention& attention = layers_.back().self_attn;
    config_.layers.push_back(
        kept_of(attention.linear_mixer.get(),
                {config_.num_attention_heads, attention.head_dim, attention.parameters.sliding_window}));
  }
  weights.expect_all_used();
  parameters_ = weights.parameters();
  lora_targets_ = weights.lora_targets();
  parameter_count_ = weights.parameter_count();
  parameter_bytes_ = weights.parameter_bytes();
}

PlainTransformer::Layer PlainTransformer::load_layer(WeightLoader& weights, std::int64_t index,
                                                     ops::Activation activation, double epsilon) const {
  const std::int64_t hidden = config_.hidden_size;
  const auto project = [&](std::string_view module) {
    return weights.linear(index, module, hidden, hidden, Bias::required);
  };
  Layer layer;
  layer.self_attn.q_proj = project("self_attn.q_proj");
  layer.self_attn.k_proj = project("self_attn.k_proj");
  layer.self_attn.v_proj = project("self_attn.v_proj");
  layer.self_attn.o_proj = project("self_attn.o_proj");
  layer.self_attn.head_dim = hidden / config_.num_attention_heads;
  layer.self_attn.linear_mixer =
      load_linear_mixer(weights, index, "self_attn", config_.attention[static_cast<std::size_t>(index)].kind,
                        {hidden, config_.num_attention_heads, layer.self_attn.head_dim, epsilon});
  layer.self_attn.parameters.scale = 1.0F / std::sqrt(static_cast<float>(layer.self_attn.head_dim));
  nn::choose_patterns(config_.attention[static_cast<std::size_t>(index)], layer.self_attn.parameters);
  layer.self_attn_layer_norm = weights.layer_norm(index, "self_attn_layer_norm", hidden, epsilon);
  nn::Linear fc1 = weights.linear(index, "fc1", config_.intermediate_size, hidden, Bias::required);
  nn::Linear fc2 = weights.linear(index, "fc2", hidden, config_.intermediate_size, Bias::required);
  layer.feed_forward = nn::Mlp(std::move(fc1), std::move(fc2), activation);
  layer.final_layer_norm = weights.layer_norm(index, "final_layer_norm", hidden, epsilon);
  return layer;
}

Tensor PlainTransformer::forward(const RaggedBatch& batch, nn::AttentionMechanism& attention) const {
  Tensor x = embed_tokens_(batch.tokens);  // [T, C]
  ops::scale_in_place(x, std::sqrt(static_cast<float>(config_.hidden_size)));
  x = ops::dropout(ops::add(x, nn::sinusoidal_positions(batch.positions, config_.hidden_size)));  // [T, C]
  for (std::size_t index = 0; index < layers_.size(); ++index) {
    x = ops::checkpointed(x, [this, index, batch, &attention](Tensor h) {
      const Layer& layer = layers_[index];
      const Tensor mixed = layer.self_attn(static_cast<int>(index), h, batch, attention);  // [T, C]
      h = layer.self_attn_layer_norm(ops::add(h, ops::dropout(mixed)));                    // [T, C]
      return layer.final_layer_norm(ops::add(h, ops::dropout(layer.feed_forward(h))));     // [T, C]
    });
  }
  return x;  // [T, C]
}

std::unique_ptr<Model> create_plain_transformer(const WeightSource& source, const ModelOptions& options) {
  return std::make_unique<PlainTransformer>(source, options);
}

}  // namespace

Naming plain_transformer_naming() {
  return {.exceptions = {{"self_attn_layer_norm", "attn_output_norm"},
                         {"final_layer_norm", "layer_output_norm"},
                         {"fc1", "ffn_up"},
                         {"fc2", "ffn_down"}}};
}

Architecture plain_transformer() {
  return {{"plain_transformer", {"PlainTransformerForCausalLM"}, {"plain_transformer"}},
          create_plain_transformer};
}

}  // namespace tessera::models
