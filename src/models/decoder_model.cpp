#include "models/decoder_model.h"

#include <fmt/core.h>

#include <cmath>
#include <utility>

#include "models/linear_mixer_loader.h"
#include "ops/activation_checkpoint.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"

namespace tessera::models {

DecoderDimensions read_dimensions(const ConfigReader& config, const WeightLoader& weights,
                                  std::int64_t default_positions, std::int64_t default_head_dim) {
  DecoderDimensions d;
  d.hidden_size = config.dimension("hidden_size");
  d.intermediate_size = config.dimension("intermediate_size");
  d.num_hidden_layers = config.dimension("num_hidden_layers", kLargestCount);
  d.num_attention_heads = config.dimension("num_attention_heads", kLargestCount);
  d.num_key_value_heads = config.dimension_or("num_key_value_heads", d.num_attention_heads, kLargestCount);
  d.max_position_embeddings =
      config.dimension_or("max_position_embeddings", default_positions, kLargestPosition);
  d.attention = read_attention_configs(config, d.num_hidden_layers, d.max_position_embeddings);
  d.rms_norm_eps =
      config.is_gguf() ? config.positive("rms_norm_eps") : config.positive_or("rms_norm_eps", 1e-6);
  if (d.num_attention_heads % d.num_key_value_heads != 0) {
    config.wrong("num_key_value_heads", fmt::format("a divisor of {} attention heads", d.num_attention_heads),
                 fmt::format("{}", d.num_key_value_heads));
  }
  std::optional<std::int64_t> head_dim = config.find_integer("head_dim", 1, kLargestHeadDim);
  if (!head_dim && default_head_dim != 0 && !config.is_gguf()) head_dim = default_head_dim;
  if (!head_dim && d.hidden_size % d.num_attention_heads != 0) {
    config.wrong("num_attention_heads", fmt::format("a divisor of hidden_size {}", d.hidden_size),
                 fmt::format("{}", d.num_attention_heads));
  }
  d.head_dim = head_dim.value_or(d.hidden_size / d.num_attention_heads);
  if (config.dimension_or("attention.value_length", d.head_dim, kLargestHeadDim) != d.head_dim) {
    config.unsupported("attention.value_length", fmt::format("{}, the key length", d.head_dim),
                       "another length");
  }
  // GGUF may leave the vocabulary's size to the embedding's shape.
  d.vocab_size = config.is_gguf() ? weights.dimension_of(weights.name("model.embed_tokens", "weight"), 0)
                                  : config.dimension("vocab_size");
  return d;
}

ModelConfig to_model_config(std::string architecture, const DecoderDimensions& dimensions) {
  ModelConfig config;
  config.architecture = std::move(architecture);
  config.vocab_size = dimensions.vocab_size;
  config.hidden_size = dimensions.hidden_size;
  config.intermediate_size = dimensions.intermediate_size;
  config.num_hidden_layers = dimensions.num_hidden_layers;
  config.num_attention_heads = dimensions.num_attention_heads;
  config.max_position_embeddings = dimensions.max_position_embeddings;
  return config;
}

nn::SelfAttention load_attention(WeightLoader& weights, std::int64_t layer, const DecoderDimensions& d,
                                 const AttentionChoice& choice) {
  const std::int64_t query_features = d.num_attention_heads * d.head_dim;
  const std::int64_t key_value_features = d.num_key_value_heads * d.head_dim;
  nn::SelfAttention attention;
  attention.q_proj =
      weights.linear(layer, "self_attn.q_proj", query_features, d.hidden_size, choice.qkv_bias);
  attention.k_proj =
      weights.linear(layer, "self_attn.k_proj", key_value_features, d.hidden_size, choice.qkv_bias);
  attention.v_proj =
      weights.linear(layer, "self_attn.v_proj", key_value_features, d.hidden_size, choice.qkv_bias);
  attention.o_proj =
      weights.linear(layer, "self_attn.o_proj", d.hidden_size, query_features, choice.output_bias);
  if (choice.query_key_norm) {
    attention.q_norm = weights.rms_norm(layer, "self_attn.q_norm", d.head_dim, d.rms_norm_eps);
    attention.k_norm = weights.rms_norm(layer, "self_attn.k_norm", d.head_dim, d.rms_norm_eps);
  }
  if (!d.attention.empty()) {
    const nn::AttentionKind kind = d.attention[static_cast<std::size_t>(layer)].kind;
    attention.linear_mixer =
        load_linear_mixer(weights, layer, "self_attn", kind,
                          {d.hidden_size, d.num_key_value_heads, d.head_dim, d.rms_norm_eps});
  }
  if (attention.linear_mixer == nullptr) attention.rotary = choice.rotary;
  attention.head_dim = d.head_dim;
  attention.parameters.scale = 1.0F / std::sqrt(static_cast<float>(d.head_dim));
  attention.parameters.sliding_window = choice.sliding_window;
  if (!d.attention.empty()) {
    nn::choose_patterns(d.attention[static_cast<std::size_t>(layer)], attention.parameters);
  }
  return attention;
}

nn::GatedMlp load_gated_mlp(WeightLoader& weights, std::int64_t layer, const DecoderDimensions& d,
                            ops::Activation activation, Bias bias) {
  nn::Linear gate = weights.linear(layer, "mlp.gate_proj", d.intermediate_size, d.hidden_size, bias);
  nn::Linear up = weights.linear(layer, "mlp.up_proj", d.intermediate_size, d.hidden_size, bias);
  nn::Linear down = weights.linear(layer, "mlp.down_proj", d.hidden_size, d.intermediate_size, bias);
  return {std::move(gate), std::move(up), std::move(down), activation};
}

DecoderModel::DecoderModel(std::string architecture, const DecoderDimensions& dimensions,
                           WeightLoader& weights, bool tied)
    : config_(to_model_config(std::move(architecture), dimensions)), dimensions_(dimensions) {
  config_.attention = dimensions.attention;
  embed_tokens_ = nn::Embedding(weights.matrix(weights.name("model.embed_tokens", "weight"),
                                               dimensions.vocab_size, dimensions.hidden_size));
  norm_ = weights.rms_norm(-1, "model.norm", dimensions.hidden_size, dimensions.rms_norm_eps);
  lm_head_ = weights.output_head(embed_tokens_, tied, dimensions.vocab_size, dimensions.hidden_size);
}

void DecoderModel::add_layer(WeightLoader& weights, nn::SelfAttention self_attn, nn::GatedMlp mlp) {
  const auto index = static_cast<std::int64_t>(layers_.size());
  const DecoderDimensions& d = dimensions_;
  config_.layers.push_back(kept_of(self_attn.linear_mixer.get(),
                                   {d.num_key_value_heads, d.head_dim, self_attn.parameters.sliding_window}));
  Layer layer;
  layer.input_layernorm = weights.rms_norm(index, "input_layernorm", d.hidden_size, d.rms_norm_eps);
  layer.self_attn = std::move(self_attn);
  layer.post_attention_layernorm =
      weights.rms_norm(index, "post_attention_layernorm", d.hidden_size, d.rms_norm_eps);
  layer.mlp = std::move(mlp);
  layers_.push_back(std::move(layer));
}

void DecoderModel::finish(const WeightLoader& weights) {
  weights.expect_all_used();
  parameters_ = weights.parameters();
  lora_targets_ = weights.lora_targets();
  parameter_count_ = weights.parameter_count();
  parameter_bytes_ = weights.parameter_bytes();
}

Tensor DecoderModel::run(const RaggedBatch& batch, const WantedRows* wanted,
                         nn::AttentionMechanism& attention) const {
  Tensor x = ops::dropout(embed_tokens_(batch.tokens));  // [T, C]
  for (std::size_t index = 0; index < layers_.size(); ++index) {
    const WantedRows* rows = index + 1 == layers_.size() ? wanted : nullptr;  // T becomes R with them
    x = ops::checkpointed(x, [this, index, batch, &attention, rows](Tensor h) {
      const Layer& layer = layers_[index];
      Tensor branch =
          layer.self_attn(static_cast<int>(index), layer.input_layernorm(h), batch, attention, rows);
      if (rows != nullptr) h = ops::gather_rows(h, rows->rows);
      h = ops::add(h, ops::dropout(branch));                  // [T, C]
      branch = layer.mlp(layer.post_attention_layernorm(h));  // [T, C]
      return ops::add(h, ops::dropout(branch));               // [T, C]
    });
  }
  return norm_(x);  // [T, C]
}

OutputHead DecoderModel::output_head() const { return {lm_head_.weight()}; }

Tensor DecoderModel::logits(const Tensor& hidden) const { return lm_head_(hidden); }  // [R, C] → [R, V]

}  // namespace tessera::models
