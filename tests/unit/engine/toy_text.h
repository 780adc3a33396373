// A byte tokenizer with a few control tokens, a model that says what it is told, and the two put together.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/generator.h"
#include "models/model.h"
#include "text/tokenizer.h"
#include "toy_model.h"

namespace tessera::engine::testing {

inline constexpr TokenId kImStart = 256;
inline constexpr TokenId kImEnd = 257;
inline constexpr TokenId kBos = 258;
inline constexpr TokenId kMerged = 259;  // "ab": what encode() makes of these two bytes

class ToyTokenizer final : public text::Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view text, const text::EncodeOptions& options = {}) const override {
    std::vector<TokenId> ids;
    if (options.add_special_tokens) ids.push_back(kBos);
    for (std::size_t at = 0; at < text.size();) {
      const TokenId special = options.parse_special ? special_at(text, at, options) : -1;
      const TokenId id = special >= 0                 ? special
                         : text.substr(at, 2) == "ab" ? kMerged
                                                      : static_cast<unsigned char>(text[at]);
      ids.push_back(id);
      at += token_text(id).size();
    }
    return ids;
  }
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    std::string text;
    for (const TokenId id : ids) {
      if (!skip_special || token_kind(id) != text::TokenKind::control) text += token_bytes(id);
    }
    return text;
  }
  std::string token_bytes(TokenId id) const override { return std::string(token_text(id)); }
  std::string_view token_text(TokenId id) const override {
    if (id < 0 || id > kMerged) fail(ErrorKind::bad_input, "no token {}", id);
    return texts_[static_cast<std::size_t>(id)];
  }
  std::optional<TokenId> find_token(std::string_view /*text*/) const override { return std::nullopt; }
  text::TokenKind token_kind(TokenId id) const override {
    return id >= kImStart && id <= kBos ? text::TokenKind::control : text::TokenKind::normal;
  }
  std::size_t vocabulary_size() const override { return texts_.size(); }
  std::optional<TokenId> bos_token() const override { return kBos; }
  std::optional<TokenId> eos_token() const override { return kImEnd; }
  std::span<const TokenId> end_of_generation_tokens() const override { return ends_; }
  std::string description() const override { return "bytes"; }

 private:
  TokenId special_at(std::string_view text, std::size_t at, const text::EncodeOptions& options) const {
    for (TokenId id = kImStart; id <= kBos; ++id) {
      if (!text.substr(at).starts_with(token_text(id))) continue;
      const std::size_t end = at + token_text(id).size();
      for (const text::TextRange& range : options.literal_ranges) {
        if (range.begin < end && at < range.end) return -1;
      }
      return id;
    }
    return -1;
  }

  static std::vector<std::string> all_texts() {
    std::vector<std::string> texts;
    for (int byte = 0; byte < 256; ++byte) texts.emplace_back(1, static_cast<char>(byte));
    texts.insert(texts.end(), {"<|im_start|>", "<|im_end|>", "<s>", "ab"});
    return texts;
  }
  std::vector<std::string> texts_ = all_texts();
  std::vector<TokenId> ends_{kImEnd};
};

// After the token at position p it says script[p + 1], whatever it was given.
class ScriptedModel final : public models::Model {
 public:
  explicit ScriptedModel(std::vector<TokenId> script, std::int64_t context = 256)
      : script_(std::move(script)) {
    config_.architecture = "scripted";
    config_.vocab_size = 300;
    config_.hidden_size = 1;
    config_.num_hidden_layers = 1;
    config_.num_attention_heads = 1;
    config_.max_position_embeddings = context;
    config_.layers = {{.num_key_value_heads = 1, .head_dim = 2}};
  }
  const models::ModelConfig& config() const override { return config_; }
  Tensor forward(const RaggedBatch& batch, nn::AttentionMechanism& /*attention*/) const override {
    std::vector<float> positions(batch.positions.begin(), batch.positions.end());
    return Tensor::from_values({batch.token_count(), 1}, positions);
  }
  Tensor logits(const Tensor& hidden) const override {
    Tensor result = Tensor::zeros({hidden.dim(0), config_.vocab_size});
    for (std::int64_t row = 0; row < hidden.dim(0); ++row) {
      const auto next = static_cast<std::size_t>(hidden.as<float>()[static_cast<std::size_t>(row)]) + 1;
      const TokenId token = next < script_.size() ? script_[next] : '.';
      result.as_mutable<float>()[static_cast<std::size_t>(row * config_.vocab_size + token)] = 50.0F;
    }
    return result;
  }
  std::int64_t parameter_count() const override { return 0; }
  std::size_t parameter_bytes() const override { return 0; }

 private:
  models::ModelConfig config_;
  std::vector<TokenId> script_;
};

inline std::shared_ptr<LoadedModel> loaded_with(std::shared_ptr<const models::Model> model) {
  auto loaded = std::make_shared<LoadedModel>();
  loaded->name = "toy";
  loaded->model = std::move(model);
  loaded->tokenizer = std::make_shared<const ToyTokenizer>();
  loaded->end_of_generation = {kImEnd};
  return loaded;
}

inline std::vector<TokenId> bytes_of(std::string_view text) {
  std::vector<TokenId> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

}  // namespace tessera::engine::testing
