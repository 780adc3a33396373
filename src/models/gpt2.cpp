// GPT-2 (Radford et al. 2019): learned positions, LayerNorm before each half, GELU, biases everywhere. Its
// checkpoints store matrices input-major ("Conv1D"), so these are turned once at load; GGUF stores them the
// usual way round.
#include "models/gpt2.h"

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

class Gpt2 final : public Model {
 public:
  Gpt2(const WeightSource& source, const ModelOptions& options);

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
    nn::LayerNorm ln_1;
    nn::SelfAttention attn;
    nn::LayerNorm ln_2;
    nn::Mlp mlp;
  };
  void read_dimensions(const ConfigReader& config, const WeightLoader& weights, const std::string& prefix);
  Layer load_layer(const ConfigReader& config, WeightLoader& weights, std::int64_t index,
                   double epsilon) const;

  ModelConfig config_;
  nn::Embedding wte_;  // tokens [V, C]
  nn::Embedding wpe_;  // positions [P, C]
  std::vector<Layer> layers_;
  nn::LayerNorm ln_f_;
  nn::Linear lm_head_;
  std::vector<Parameter> parameters_;
  std::vector<LoraTarget> lora_targets_;
  std::int64_t parameter_count_ = 0;
  std::size_t parameter_bytes_ = 0;
};

// A Conv1D of the checkpoint as a Linear: weight [in, out] becomes [out, in].
nn::Linear load_conv1d(WeightLoader& weights, std::int64_t layer, std::string_view module, std::int64_t out,
                       std::int64_t in, Bias bias) {
  if (weights.is_gguf()) return weights.linear(layer, module, out, in, bias);
  const Tensor weight = weights.transposed_matrix(weights.layer_name(layer, module, "weight"), in, out);
  const Tensor shift =
      bias == Bias::none ? Tensor{} : weights.vector(weights.layer_name(layer, module, "bias"), out);
  nn::Linear linear(weights.prepare(weight), shift);
  weights.add_lora_target(layer, module, linear, true);
  return linear;
}

// nanoGPT's `bias: false`; Hugging Face takes a missing bias for zero, which is the same model.
Bias bias_of(const ConfigReader& config) {
  return config.boolean_or("bias", true) ? Bias::required : Bias::none;
}

void Gpt2::read_dimensions(const ConfigReader& config, const WeightLoader& weights,
                           const std::string& prefix) {
  const auto key = [&](std::string_view common, std::string_view gpt2) {
    return config.is_gguf() ? common : gpt2;
  };
  config_.architecture = "gpt2";
  config_.hidden_size = config.dimension(key("hidden_size", "n_embd"));
  config_.intermediate_size =
      config.dimension_or(key("intermediate_size", "n_inner"), 4 * config_.hidden_size);
  config_.num_hidden_layers = config.dimension(key("num_hidden_layers", "n_layer"), kLargestCount);
  config_.num_attention_heads = config.dimension(key("num_attention_heads", "n_head"), kLargestCount);
  config_.max_position_embeddings =
      config.dimension(key("max_position_embeddings", "n_positions"), kLargestPosition);
  config_.attention =
      read_attention_configs(config, config_.num_hidden_layers, config_.max_position_embeddings);
  config_.position_limit = config_.max_position_embeddings;
  const std::string embeddings = weights.name(prefix + "wte", "weight");
  config_.vocab_size = config.is_gguf() || weights.contains(embeddings) ? weights.dimension_of(embeddings, 0)
                                                                        : config.dimension("vocab_size");
  if (config_.hidden_size % config_.num_attention_heads != 0) {
    config.wrong(key("num_attention_heads", "n_head"), "a divisor of n_embd", "another number");
  }
}

Gpt2::Gpt2(const WeightSource& source, const ModelOptions& options) {
  const ConfigReader config(source);
  const std::string prefix = gpt2_prefix(source);
  WeightLoader weights(source, gpt2_naming(prefix), options.weight_form);
  read_dimensions(config, weights, prefix);
  config.forbid_true("add_cross_attention");
  const std::int64_t hidden = config_.hidden_size;
  const double epsilon = config.positive_or("layer_norm_epsilon", 1e-5);

  wte_ = nn::Embedding(weights.matrix(weights.name(prefix + "wte", "weight"), config_.vocab_size, hidden));
  wpe_ = nn::Embedding(
      weights.matrix(weights.name(prefix + "wpe", "weight"), config_.max_position_embeddings, hidden));
  ln_f_ = weights.layer_norm(-1, prefix + "ln_f", hidden, epsilon, bias_of(config));
  lm_head_ =
      weights.output_head(wte_, config.boolean_or("tie_word_embeddings", true), config_.vocab_size, hidden);
  for (std::int64_t index = 0; index < config_.num_hidden_layers; ++index) {
    layers_.push_back(load_layer(config, weights, index, epsilon));
    const nn::SelfAttention& attention = layers_.back().attn;
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

Gpt2::Layer Gpt2::load_layer(const ConfigReader& config, WeightLoader& weights, std::int64_t index,
                             double epsilon) const {
  const std::int64_t hidden = config_.hidden_size;
  const Bias bias = bias_of(config);
  Layer layer;
  layer.ln_1 = weights.layer_norm(index, "ln_1", hidden, epsilon, bias);
  nn::split_fused_projection(load_conv1d(weights, index, "attn.c_attn", 3 * hidden, hidden, bias), hidden,
                             hidden, layer.attn);
  layer.attn.o_proj = load_conv1d(weights, index, "attn.c_proj", hidden, hidden, bias);
  layer.attn.head_dim = hidden / config_.num_attention_heads;
  layer.attn.linear_mixer =
      load_linear_mixer(weights, index, "attn", config_.attention[static_cast<std::size_t>(index)].kind,
                        {hidden, config_.num_attention_heads, layer.attn.head_dim, epsilon});
  float scale = config.boolean_or("scale_attn_weights", true)
                    ? 1.0F / std::sqrt(static_cast<float>(layer.attn.head_dim))
                    : 1.0F;
  if (config.boolean_or("scale_attn_by_inverse_layer_idx", false)) scale /= static_cast<float>(index + 1);
  layer.attn.parameters.scale = scale;
  nn::choose_patterns(config_.attention[static_cast<std::size_t>(index)], layer.attn.parameters);
  layer.ln_2 = weights.layer_norm(index, "ln_2", hidden, epsilon, bias);
  nn::Linear up = load_conv1d(weights, index, "mlp.c_fc", config_.intermediate_size, hidden, bias);
  nn::Linear down = load_conv1d(weights, index, "mlp.c_proj", hidden, config_.intermediate_size, bias);
  layer.mlp = nn::Mlp(std::move(up), std::move(down), config.activation("activation_function", "gelu_new"));
  return layer;
}

Tensor Gpt2::forward(const RaggedBatch& batch, nn::AttentionMechanism& attention) const {
  Tensor x = ops::dropout(ops::add(wte_(batch.tokens), wpe_(batch.positions)));  // [T, C]
  for (std::size_t index = 0; index < layers_.size(); ++index) {
    x = ops::checkpointed(x, [this, index, batch, &attention](Tensor h) {
      const Layer& layer = layers_[index];
      const Tensor mixed = layer.attn(static_cast<int>(index), layer.ln_1(h), batch, attention);  // [T, C]
      h = ops::add(h, ops::dropout(mixed));                                                       // [T, C]
      return ops::add(h, ops::dropout(layer.mlp(layer.ln_2(h))));                                 // [T, C]
    });
  }
  return ln_f_(x);  // [T, C]
}

std::unique_ptr<Model> create_gpt2(const WeightSource& source, const ModelOptions& options) {
  return std::make_unique<Gpt2>(source, options);
}

}  // namespace

std::string gpt2_prefix(const WeightSource& source) {
  return source.naming() == NamingScheme::hugging_face && source.find("wte.weight") != nullptr
             ? ""
             : "transformer.";
}

Naming gpt2_naming(const std::string& prefix) {
  return {.layer_prefix = prefix + "h.",
          .exceptions = {{"transformer.wte", "token_embd"},
                         {"transformer.wpe", "position_embd"},
                         {"transformer.ln_f", "output_norm"},
                         {"ln_1", "attn_norm"},
                         {"attn.c_attn", "attn_qkv"},
                         {"attn.c_proj", "attn_output"},
                         {"ln_2", "ffn_norm"},
                         {"mlp.c_fc", "ffn_up"},
                         {"mlp.c_proj", "ffn_down"}},
          .lora_prefix = prefix.empty() ? "transformer." : "",
          .ignored_suffixes = {".attn.bias", ".attn.masked_bias"}};  // the causal mask, stored as a buffer
}

Architecture gpt2() { return {{"gpt2", {"GPT2LMHeadModel"}, {"gpt2"}}, create_gpt2}; }

}  // namespace tessera::models
