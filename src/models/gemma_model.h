// What Gemma 2 and Gemma 3 share: scaled embeddings, a norm before and after both halves of a layer, GeGLU,
// layers that alternate between a sliding window and the whole context, and soft caps.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "models/decoder_model.h"

namespace tessera::models {

// What one Gemma has and the other has not.
struct GemmaChoice {
  std::string architecture;
  std::int64_t sliding_window = 0;
  std::vector<bool> sliding_layers;                          // [num_hidden_layers]
  std::shared_ptr<const nn::RotaryEmbedding> global_rotary;  // of layers that see everything
  std::shared_ptr<const nn::RotaryEmbedding> local_rotary;   // of layers that slide
  double query_pre_attn_scalar = 0.0;                        // scores are q·k / sqrt(this)
  double attn_logit_softcapping = 0.0;                       // 0: none
  double final_logit_softcapping = 0.0;                      // 0: none
  bool query_key_norm = false;
};

// The names that GGUF uses for Gemma's four norms a layer.
Naming gemma_naming();

class GemmaModel final : public Model {
 public:
  GemmaModel(const ConfigReader& config, WeightLoader& weights, const DecoderDimensions& dimensions,
             const GemmaChoice& choice);

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

  struct Layer {
    nn::RmsNorm input_layernorm;
    nn::SelfAttention self_attn;
    nn::RmsNorm post_attention_layernorm;
    nn::RmsNorm pre_feedforward_layernorm;
    nn::GatedMlp mlp;
    nn::RmsNorm post_feedforward_layernorm;
  };
  Layer load_layer(WeightLoader& weights, std::int64_t index, const DecoderDimensions& dimensions,
                   const GemmaChoice& choice, ops::Activation activation, Bias bias) const;

  ModelConfig config_;
  nn::Embedding embed_tokens_;
  std::vector<Layer> layers_;
  nn::RmsNorm norm_;
  nn::Linear lm_head_;
  float embedding_scale_ = 1.0F;
  float final_logit_softcapping_ = 0.0F;
  std::vector<Parameter> parameters_;
  std::vector<LoraTarget> lora_targets_;
  std::int64_t parameter_count_ = 0;
  std::size_t parameter_bytes_ = 0;
};

}  // namespace tessera::models
