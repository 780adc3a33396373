// The pre-norm decoder that Llama made common, and that Mistral, Qwen, SmolLM3 and Phi-3 vary: RMSNorm,
// rotary attention with grouped key/value heads, gated MLP. Their files say what differs; what is alike is
// written once, here.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "models/attention_reader.h"
#include "models/config_reader.h"
#include "models/model.h"
#include "models/rotary_config.h"
#include "models/weight_loader.h"
#include "nn/attention/self_attention.h"
#include "nn/mlp.h"

namespace tessera::models {

// The sizes that every decoder has, read and checked against each other.
struct DecoderDimensions {
  std::int64_t vocab_size = 0;         // V
  std::int64_t hidden_size = 0;        // C
  std::int64_t intermediate_size = 0;  // F
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;  // H
  std::int64_t num_key_value_heads = 0;  // K
  std::int64_t head_dim = 0;             // D
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 0.0;
  std::vector<nn::AttentionConfig> attention = {};  // [num_hidden_layers]
};

// Where a config.json leaves max_position_embeddings or head_dim out, these stand in, as in Hugging Face's
// classes; default_head_dim 0 is hidden_size / num_attention_heads. GGUF always means the latter.
DecoderDimensions read_dimensions(const ConfigReader& config, const WeightLoader& weights,
                                  std::int64_t default_positions, std::int64_t default_head_dim = 0);

// The fields of ModelConfig that follow from them; `layers` stays empty.
ModelConfig to_model_config(std::string architecture, const DecoderDimensions& dimensions);

// What one layer needs besides the dimensions.
struct AttentionChoice {
  std::shared_ptr<const nn::RotaryEmbedding> rotary = nullptr;  // null: no rotation in this layer
  std::int64_t sliding_window = 0;                              // 0: sees everything
  Bias qkv_bias = Bias::none;
  Bias output_bias = Bias::none;
  bool query_key_norm = false;
};

// self_attn of one layer, with projections of their own: q_proj, k_proj, v_proj, o_proj.
nn::SelfAttention load_attention(WeightLoader& weights, std::int64_t layer,
                                 const DecoderDimensions& dimensions, const AttentionChoice& choice);
// mlp of one layer: gate_proj, up_proj, down_proj.
nn::GatedMlp load_gated_mlp(WeightLoader& weights, std::int64_t layer, const DecoderDimensions& dimensions,
                            ops::Activation activation, Bias bias);

class DecoderModel : public Model {
 public:
  struct Layer {
    nn::RmsNorm input_layernorm;
    nn::SelfAttention self_attn;
    nn::RmsNorm post_attention_layernorm;
    nn::GatedMlp mlp;
  };

  // Loads embedding, final norm and head; layers follow by add_layer, then finish().
  DecoderModel(std::string architecture, const DecoderDimensions& dimensions, WeightLoader& weights,
               bool tied);
  void add_layer(WeightLoader& weights, nn::SelfAttention self_attn, nn::GatedMlp mlp);
  // Error unsupported when the file holds a tensor that nobody took.
  void finish(const WeightLoader& weights);
  void limit_positions(std::int64_t positions) { config_.max_position_embeddings = positions; }

  const ModelConfig& config() const override { return config_; }
  Tensor forward(const RaggedBatch& batch, nn::AttentionMechanism& attention) const override {
    return run(batch, nullptr, attention);
  }
  Tensor forward_rows(const RaggedBatch& batch, const WantedRows& wanted,
                      nn::AttentionMechanism& attention) const override {
    return run(batch, &wanted, attention);
  }
  Tensor logits(const Tensor& hidden) const override;
  OutputHead output_head() const override;
  std::span<const Parameter> parameters() const override { return parameters_; }
  std::span<const LoraTarget> lora_targets() const override { return lora_targets_; }
  std::int64_t parameter_count() const override { return parameter_count_; }
  std::size_t parameter_bytes() const override { return parameter_bytes_; }

 private:
  // `wanted` null: all rows.
  Tensor run(const RaggedBatch& batch, const WantedRows* wanted, nn::AttentionMechanism& attention) const;

  ModelConfig config_;
  DecoderDimensions dimensions_;
  nn::Embedding embed_tokens_;
  std::vector<Layer> layers_;
  nn::RmsNorm norm_;
  nn::Linear lm_head_;
  std::vector<Parameter> parameters_;
  std::vector<LoraTarget> lora_targets_;
  std::int64_t parameter_count_ = 0;
  std::size_t parameter_bytes_ = 0;
};

}  // namespace tessera::models
