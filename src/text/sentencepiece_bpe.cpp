#include "text/sentencepiece_bpe.h"

#include <algorithm>
#include <array>

#include "text/encode_work.h"
#include "text/symbol_merger.h"
#include "text/underlines.h"
#include "text/unicode.h"
#include "text/word_cache.h"

namespace tessera::text {
namespace {

struct ScoreRules {
  using Symbol = std::string_view;  // neighbours lie side by side in the word
  struct Merge {
    float priority = 0;  // minus the score
    std::uint32_t length = 0;
  };
  const StringMap* pieces = nullptr;
  const std::vector<float>* scores = nullptr;
  std::size_t longest = 0;  // bytes of the longest piece: nothing beyond can merge

  bool find(std::string_view left, std::string_view right, Merge& merge) const {
    const std::string_view joined(left.data(), left.size() + right.size());
    if (joined.size() > longest) return false;
    const auto id = pieces->find(joined);
    if (!id) return false;
    merge = {-(*scores)[static_cast<std::size_t>(*id)], static_cast<std::uint32_t>(joined.size())};
    return true;
  }
  bool still_valid(const Merge& merge, std::string_view left, std::string_view right) const {
    return merge.length == left.size() + right.size();
  }
  std::string_view join(const Merge& merge, std::string_view left, std::string_view) const {
    return {left.data(), merge.length};
  }
};

class SentencePieceBpe final : public TokenModel {
 public:
  SentencePieceBpe(const Vocabulary& vocabulary, std::vector<float> scores,
                   std::optional<TokenId> unknown_token)
      : scores_(std::move(scores)), unknown_token_(unknown_token), rules_{&pieces_, &scores_, 0} {
    bytes_.fill(-1);
    pieces_.reserve(vocabulary.size(), vocabulary.size() * 8);
    for (std::size_t i = 0; i < vocabulary.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      const TokenKind kind = vocabulary.kind(id);
      if (kind == TokenKind::byte) {
        if (const auto byte = parse_byte_token(vocabulary.text(id))) bytes_[*byte] = id;
      } else if (kind != TokenKind::control && kind != TokenKind::unknown) {
        pieces_.insert(vocabulary.text(id), id);
        rules_.longest = std::max(rules_.longest, vocabulary.text(id).size());
      }
    }
    cuts_at_underlines_ = !crosses_underlines(vocabulary);
  }

  std::unique_ptr<WordEncoder> make_encoder(std::size_t text_bytes) const override {
    return std::make_unique<Encoder>(*this, text_bytes);
  }

  std::string description() const override { return "SentencePiece BPE"; }

 private:
  class Encoder final : public WordEncoder {
   public:
    Encoder(const SentencePieceBpe& model, std::size_t text_bytes)
        : model_(model), cache_(text_bytes), merger_(model.rules_) {}

    void append_tokens(std::string_view text, std::span<const TextRange> words,
                       std::vector<TokenId>& output) override {
      if (model_.cuts_at_underlines_) {
        cut_words_.clear();
        for (const TextRange& word : words) cut_at_underlines(text, word, cut_words_);
        words = cut_words_;
      }
      append_words(cache_, text, words, output, [this](std::string_view word) { return ids_of(word); });
      encode_work().merge_lookups += merger_.lookups();
      merger_.reset_lookups();
    }

   private:
    std::span<const TokenId> ids_of(std::string_view word) {
      std::vector<std::string_view>& symbols = merger_.symbols();
      symbols.clear();
      for (std::size_t begin = 0, length = 0; begin < word.size(); begin += length) {
        length = character_length(word[begin]);
        symbols.push_back(word.substr(begin, length));
      }
      merger_.run();
      ids_.clear();
      for (const std::string_view symbol : symbols) model_.append_symbol(symbol, ids_);
      return ids_;
    }

    const SentencePieceBpe& model_;
    WordCache cache_;
    SymbolMerger<ScoreRules> merger_;
    std::vector<TextRange> cut_words_;
    std::vector<TokenId> ids_;
  };

  void append_symbol(std::string_view symbol, std::vector<TokenId>& output) const {
    if (const auto id = pieces_.find(symbol)) {
      output.push_back(*id);
      return;
    }
    for (const char c : symbol) {
      const TokenId id = bytes_[static_cast<unsigned char>(c)];
      if (id >= 0) {
        output.push_back(id);
      } else if (unknown_token_) {
        output.push_back(*unknown_token_);
        return;  // one for the whole character
      }
    }
  }

  std::vector<float> scores_;
  std::optional<TokenId> unknown_token_;
  StringMap pieces_;
  std::array<TokenId, 256> bytes_{};
  ScoreRules rules_;
  bool cuts_at_underlines_ = false;
};

}  // namespace

std::unique_ptr<TokenModel> make_sentencepiece_bpe(const Vocabulary& vocabulary, std::vector<float> scores,
                                                   std::optional<TokenId> unknown_token) {
  return std::make_unique<SentencePieceBpe>(vocabulary, std::move(scores), unknown_token);
}

}  // namespace tessera::text
