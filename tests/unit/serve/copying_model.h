// A model that repeats what stands a fixed distance back in its own keys and values: whatever it says tells
// whose cache it was given.
#pragma once
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"
#include "unit/engine/toy_text.h"

namespace tessera::serve::testing {

// The token at position p + 1 is the one at p + 1 - kPeriod: attention looks there, for keys and queries are
// positions in many frequencies, and values are the bits of the tokens.
class CopyingModel final : public models::Model {
 public:
  static constexpr std::int64_t kPeriod = 24;

  explicit CopyingModel(std::int64_t context) {
    config_.architecture = "copying";
    config_.vocab_size = kVocabulary;
    config_.hidden_size = kWidth;
    config_.num_hidden_layers = 1;
    config_.num_attention_heads = 1;
    config_.max_position_embeddings = context;
    config_.layers = {{.num_key_value_heads = 1, .head_dim = kWidth}};
  }
  const models::ModelConfig& config() const override { return config_; }

  Tensor forward(const RaggedBatch& batch, nn::AttentionMechanism& attention) const override {
    const std::int64_t tokens = batch.token_count();
    std::vector<float> q(static_cast<std::size_t>(tokens * kWidth));
    std::vector<float> k(q.size());
    std::vector<float> v(q.size());
    for (std::int64_t t = 0; t < tokens; ++t) {
      const auto position = batch.positions[static_cast<std::size_t>(t)];
      const TokenId token = batch.tokens[static_cast<std::size_t>(t)];
      for (std::int64_t i = 0; i < kWidth; ++i) {
        const auto at = static_cast<std::size_t>(t * kWidth + i);
        q[at] = wave(i, position + 1 - kPeriod);
        k[at] = wave(i, position);
        v[at] = i < kBits ? bit(token, i) : 0.0F;
      }
    }
    const Shape shape{tokens, 1, kWidth};
    const Tensor mixed = attention.attend(0, Tensor::from_values(shape, q), Tensor::from_values(shape, k),
                                          Tensor::from_values(shape, v), batch, {.scale = 4.0F});
    return mixed.reshape({tokens, kWidth});
  }

  Tensor logits(const Tensor& hidden) const override {
    Tensor result = Tensor::zeros({hidden.dim(0), kVocabulary});
    for (std::int64_t row = 0; row < hidden.dim(0); ++row) {
      for (TokenId token = 0; token < kVocabulary; ++token) {
        float score = 0;
        for (std::int64_t i = 0; i < kBits; ++i) {
          score += bit(token, i) * hidden.as<float>()[static_cast<std::size_t>(row * kWidth + i)];
        }
        result.as_mutable<float>()[static_cast<std::size_t>(row * kVocabulary + token)] = 10 * score;
      }
    }
    return result;
  }
  std::int64_t parameter_count() const override { return 0; }
  std::size_t parameter_bytes() const override { return 0; }

 private:
  static constexpr std::int64_t kVocabulary = 300;
  static constexpr std::int64_t kWidth = 64;
  static constexpr std::int64_t kBits = 9;

  static float bit(TokenId token, std::int64_t i) { return (token >> i & 1) != 0 ? 1.0F : -1.0F; }
  // Sines and cosines of 32 frequencies without a common period.
  static float wave(std::int64_t i, std::int64_t position) {
    const double angle = static_cast<double>(position) * std::pow(0.9, static_cast<double>(i / 2)) * 2.9;
    return static_cast<float>(i % 2 == 0 ? std::sin(angle) : std::cos(angle));
  }
  models::ModelConfig config_;
};

inline std::shared_ptr<engine::LoadedModel> copying_model(std::int64_t context) {
  return engine::testing::loaded_with(std::make_shared<CopyingModel>(context));
}

// 24 characters that nobody else has.
inline std::string canary(int session) {
  std::string text = "<canary " + std::to_string(100000 + session * 7919) + ":";
  while (std::ssize(text) < CopyingModel::kPeriod - 1)
    text += static_cast<char>('A' + (session * 31 + std::ssize(text)) % 26);
  return text + ">";
}
// What the model says after a prompt that ends with a canary.
inline std::string canary_answer(int session, std::int64_t tokens) {
  std::string text;
  while (std::ssize(text) < tokens) text += canary(session);
  return text.substr(0, static_cast<std::size_t>(tokens));
}

}  // namespace tessera::serve::testing
