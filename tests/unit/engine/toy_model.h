// A small random model made of real operations, and its parts, so that the engine is tested without model
// files.
#pragma once
#include <memory>
#include <random>
#include <vector>

#include "models/model.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/linear.h"
#include "ops/normalization.h"
#include "ops/rotary_embedding.h"

namespace tessera::engine::testing {

// Two layers of attention whose keys and values have different shapes: what the engine must keep apart.
class ToyModel final : public models::Model {
 public:
  explicit ToyModel(std::int64_t vocabulary = 300, std::int64_t context = 512) : random_(7) {
    config_.architecture = "toy";
    config_.vocab_size = vocabulary;
    config_.hidden_size = kHidden;
    config_.num_hidden_layers = 2;
    config_.num_attention_heads = kHeads;
    config_.max_position_embeddings = context;
    config_.layers = {{.num_key_value_heads = 2, .head_dim = 8}, {.num_key_value_heads = 1, .head_dim = 8}};
    table_ = random_tensor({vocabulary, kHidden});
    norm_ = Tensor::from_values({kHidden}, std::vector<float>(kHidden, 1.0F));
    for (const models::KeyValueShape& shape : config_.layers) {
      const std::int64_t kv = shape.num_key_value_heads * shape.head_dim;
      layers_.push_back(
          {random_tensor({kHidden, kHidden}), random_tensor({kv, kHidden}), random_tensor({kv, kHidden})});
    }
  }

  const models::ModelConfig& config() const override { return config_; }
  void limit_positions(std::int64_t positions) { config_.position_limit = positions; }

  Tensor forward(const RaggedBatch& batch, nn::AttentionMechanism& attention) const override {
    const std::int64_t tokens = batch.token_count();
    Tensor x = ops::embedding(batch.tokens, table_);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const models::KeyValueShape& shape = config_.layers[i];
      const Tensor normed = ops::rms_norm(x, norm_, 1e-5F);
      Tensor q = ops::linear(normed, layers_[i].q).reshape({tokens, kHeads, shape.head_dim});
      Tensor k =
          ops::linear(normed, layers_[i].k).reshape({tokens, shape.num_key_value_heads, shape.head_dim});
      const Tensor v =
          ops::linear(normed, layers_[i].v).reshape({tokens, shape.num_key_value_heads, shape.head_dim});
      ops::rotary_embedding(q, batch.positions, kFrequencies, ops::RotaryLayout::half);
      ops::rotary_embedding(k, batch.positions, kFrequencies, ops::RotaryLayout::half);
      const Tensor mixed = attention.attend(static_cast<int>(i), q, k, v, batch, {.scale = 0.35F});
      ops::add_in_place(x, mixed.reshape({tokens, kHidden}));
    }
    return ops::rms_norm(x, norm_, 1e-5F);
  }
  Tensor logits(const Tensor& hidden) const override { return ops::linear(hidden, table_); }
  std::int64_t parameter_count() const override { return table_.elements(); }
  std::size_t parameter_bytes() const override { return table_.bytes(); }

 private:
  static constexpr std::int64_t kHidden = 32;
  static constexpr std::int64_t kHeads = 4;
  static constexpr float kFrequencies[4] = {1.0F, 0.3F, 0.09F, 0.027F};
  struct Layer {
    Tensor q, k, v;
  };

  Tensor random_tensor(const Shape& shape) {
    std::normal_distribution<float> normal(0.0F, 0.3F);
    std::vector<float> values(static_cast<std::size_t>(shape.elements()));
    for (float& value : values) value = normal(random_);
    return Tensor::from_values(shape, values);
  }

  std::mt19937 random_;
  models::ModelConfig config_;
  Tensor table_, norm_;
  std::vector<Layer> layers_;
};

}  // namespace tessera::engine::testing
