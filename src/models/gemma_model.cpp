#include "models/gemma_model.h"

#include <cmath>
#include <utility>

#include "ops/activation_checkpoint.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"

namespace tessera::models {

Naming gemma_naming() {
  return {.exceptions = {{"post_attention_layernorm", "post_attention_norm"},
                         {"pre_feedforward_layernorm", "ffn_norm"},
                         {"post_feedforward_layernorm", "post_ffw_norm"}}};
}

GemmaModel::GemmaModel(const ConfigReader& config, WeightLoader& weights, const DecoderDimensions& d,
                       const GemmaChoice& choice)
    : config_(to_model_config(choice.architecture, d)),
      embedding_scale_(std::sqrt(static_cast<float>(d.hidden_size))),
      final_logit_softcapping_(static_cast<float>(choice.final_logit_softcapping)) {
  const ops::Activation activation = config.activation("hidden_activation", "gelu_pytorch_tanh");
  const Bias bias = config.boolean_or("attention_bias", false) ? Bias::required : Bias::none;
  config.forbid_true("use_bidirectional_attention");
  embed_tokens_ = nn::Embedding(
      weights.matrix(weights.name("model.embed_tokens", "weight"), d.vocab_size, d.hidden_size));
  norm_ = weights.rms_norm(-1, "model.norm", d.hidden_size, d.rms_norm_eps, !weights.is_gguf());
  lm_head_ = weights.output_head(embed_tokens_, config.boolean_or("tie_word_embeddings", true), d.vocab_size,
                                 d.hidden_size);
  for (std::int64_t index = 0; index < d.num_hidden_layers; ++index) {
    layers_.push_back(load_layer(weights, index, d, choice, activation, bias));
    const std::int64_t window = layers_.back().self_attn.parameters.sliding_window;
    config_.layers.push_back({d.num_key_value_heads, d.head_dim, window});
  }
  weights.expect_all_used();
  parameters_ = weights.parameters();
  lora_targets_ = weights.lora_targets();
  parameter_count_ = weights.parameter_count();
  parameter_bytes_ = weights.parameter_bytes();
}

GemmaModel::Layer GemmaModel::load_layer(WeightLoader& weights, std::int64_t index,
                                         const DecoderDimensions& d, const GemmaChoice& choice,
                                         ops::Activation activation, Bias bias) const {
  // Hugging Face stores a norm's weight minus one; GGUF has the one added already.
  const bool add_one = !weights.is_gguf();
  const auto norm = [&](std::string_view module, std::int64_t size) {
    return weights.rms_norm(index, module, size, d.rms_norm_eps, add_one);
  };
  const bool slides = choice.sliding_layers[static_cast<std::size_t>(index)];
  Layer layer;
  layer.input_layernorm = norm("input_layernorm", d.hidden_size);
  layer.self_attn = load_attention(weights, index, d,
                                   {.rotary = slides ? choice.local_rotary : choice.global_rotary,
                                    .sliding_window = slides ? choice.sliding_window : 0,
                                    .qkv_bias = bias,
                                    .output_bias = bias});
  if (choice.query_key_norm) {
    layer.self_attn.q_norm = norm("self_attn.q_norm", d.head_dim);
    layer.self_attn.k_norm = norm("self_attn.k_norm", d.head_dim);
  }
  layer.self_attn.parameters.scale = static_cast<float>(1.0 / std::sqrt(choice.query_pre_attn_scalar));
  layer.self_attn.parameters.logit_softcap = static_cast<float>(choice.attn_logit_softcapping);
  layer.post_attention_layernorm = norm("post_attention_layernorm", d.hidden_size);
  layer.pre_feedforward_layernorm = norm("pre_feedforward_layernorm", d.hidden_size);
  layer.mlp = load_gated_mlp(weights, index, d, activation, Bias::none);
  layer.post_feedforward_layernorm = norm("post_feedforward_layernorm", d.hidden_size);
  return layer;
}

Tensor GemmaModel::run(const RaggedBatch& batch, const WantedRows* wanted,
                       nn::AttentionMechanism& attention) const {
  Tensor x = embed_tokens_(batch.tokens);  // [T, C]
  ops::scale_in_place(x, embedding_scale_);
  x = ops::dropout(x);
  for (std::size_t index = 0; index < layers_.size(); ++index) {
    const WantedRows* rows = index + 1 == layers_.size() ? wanted : nullptr;  // T becomes R with them
    x = ops::checkpointed(x, [this, index, batch, &attention, rows](Tensor h) {
      const Layer& layer = layers_[index];
      Tensor branch = layer.input_layernorm(h);                                           // [T, C]
      branch = layer.self_attn(static_cast<int>(index), branch, batch, attention, rows);  // [T, C]
      if (rows != nullptr) h = ops::gather_rows(h, rows->rows);
      h = ops::add(h, ops::dropout(layer.post_attention_layernorm(branch)));       // [T, C]
      branch = layer.mlp(layer.pre_feedforward_layernorm(h));                      // [T, C]
      return ops::add(h, ops::dropout(layer.post_feedforward_layernorm(branch)));  // [T, C]
    });
  }
  return norm_(x);  // [T, C]
}

OutputHead GemmaModel::output_head() const { return {lm_head_.weight(), final_logit_softcapping_}; }

Tensor GemmaModel::logits(const Tensor& hidden) const {
  Tensor logits = lm_head_(hidden);  // [R, V]
  if (final_logit_softcapping_ > 0.0F) ops::softcap_in_place(logits, final_logit_softcapping_);
  return logits;
}

}  // namespace tessera::models
