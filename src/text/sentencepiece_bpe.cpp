#include "text/sentencepiece_bpe.h"

#include <algorithm>
#include <array>

#include "text/encode_work.h"
#include "text/symbol_merger.h"
#include "text/unicode.h"

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
  }

  void append_tokens(std::string_view text, std::span<const TextRange> words,
                     std::vector<TokenId>& output) const override {
    SymbolMerger<ScoreRules> merger(rules_);
    std::vector<std::string_view>& symbols = merger.symbols();
    for (const TextRange& word : words) {
      symbols.clear();
      for (std::size_t begin = word.begin, length = 0; begin < word.end; begin += length) {
        length = character_length(text[begin]);
        symbols.push_back(text.substr(begin, length));
      }
      merger.run();
      for (const std::string_view symbol : symbols) append_symbol(symbol, output);
    }
    encode_work().merge_lookups += merger.lookups();
  }

  std::string description() const override { return "SentencePiece BPE"; }

 private:
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
};

}  // namespace

std::unique_ptr<TokenModel> make_sentencepiece_bpe(const Vocabulary& vocabulary, std::vector<float> scores,
                                                   std::optional<TokenId> unknown_token) {
  return std::make_unique<SentencePieceBpe>(vocabulary, std::move(scores), unknown_token);
}

}  // namespace tessera::text
