#include "text/unigram.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/error.h"
#include "text/piece_trie.h"
#include "text/unicode.h"

namespace tessera::text {
namespace {

constexpr double kUnknownPenalty = 10.0;
constexpr std::size_t kNowhere = SIZE_MAX;

class UnigramModel final : public TokenModel {
 public:
  UnigramModel(const Vocabulary& vocabulary, UnigramOptions options) : options_(std::move(options)) {
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < vocabulary.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      if (!vocabulary.contains(id) || i >= options_.scores.size()) continue;
      least = std::min(least, options_.scores[i]);
      const bool spelled = id != options_.unknown_token && (vocabulary.kind(id) == TokenKind::normal ||
                                                            vocabulary.kind(id) == TokenKind::byte);
      if (spelled && !vocabulary.text(id).empty()) trie_.insert(vocabulary.text(id), id);
    }
    unknown_score_ = least - kUnknownPenalty;
    for (unsigned byte = 0; byte < byte_tokens_.size(); ++byte) {
      byte_tokens_[byte] = vocabulary.find(byte_token_text(static_cast<unsigned char>(byte))).value_or(-1);
    }
  }

  std::unique_ptr<WordEncoder> make_encoder(std::size_t text_bytes) const override;
  std::string description() const override { return "Unigram"; }

  // The best way to each byte of `word` -> the pieces of the best way to its end, last first.
  struct Step {
    double score = 0;
    std::size_t begin = kNowhere;
    TokenId id = -1;  // -1: unknown
  };
  void find_best(std::string_view word, std::vector<Step>& steps) const {
    steps.assign(word.size() + 1, {});
    const auto reach = [&](std::size_t begin, std::size_t end, double score, TokenId id) {
      Step& step = steps[end];
      if (step.begin == kNowhere || score > step.score) step = {score, begin, id};
    };
    for (std::size_t begin = 0; begin < word.size();) {
      const std::size_t length = std::min<std::size_t>(character_length(word[begin]), word.size() - begin);
      const double score = steps[begin].score;
      bool has_single = false;
      trie_.for_each_prefix(word.substr(begin), [&](std::size_t bytes, TokenId id) {
        reach(begin, begin + bytes, score + options_.scores[static_cast<std::size_t>(id)], id);
        has_single = has_single || bytes == length;
      });
      if (!has_single) reach(begin, begin + length, score + unknown_score_, -1);
      begin += length;
    }
  }

  void append_unknown(std::string_view characters, std::vector<TokenId>& output) const {
    if (options_.byte_fallback) {
      std::vector<TokenId> bytes;
      for (const char byte : characters) {
        const TokenId id = byte_tokens_[static_cast<unsigned char>(byte)];
        if (id >= 0) bytes.push_back(id);
      }
      if (bytes.size() == characters.size()) {
        output.insert(output.end(), bytes.begin(), bytes.end());
        return;
      }
    }
    if (options_.unknown_token) output.push_back(*options_.unknown_token);
  }

 private:
  UnigramOptions options_;
  std::array<TokenId, 256> byte_tokens_{};  // -1 where the vocabulary has none
  PieceTrie trie_;
  double unknown_score_ = 0;
};

class UnigramEncoder final : public WordEncoder {
 public:
  explicit UnigramEncoder(const UnigramModel& model) : model_(&model) {}

  void append_tokens(std::string_view text, std::span<const TextRange> words,
                     std::vector<TokenId>& output) override {
    for (const TextRange& range : words)
      append_word(text.substr(range.begin, range.end - range.begin), output);
  }

 private:
  void append_word(std::string_view word, std::vector<TokenId>& output) {
    model_->find_best(word, steps_);
    pieces_.clear();
    for (std::size_t end = word.size(); end > 0; end = steps_[end].begin) {
      const bool joins = steps_[end].id < 0 && !pieces_.empty() && pieces_.back().id < 0;
      if (joins) {
        pieces_.back().range.begin = steps_[end].begin;
      } else {
        pieces_.push_back({{steps_[end].begin, end}, steps_[end].id});
      }
    }
    for (auto piece = pieces_.rbegin(); piece != pieces_.rend(); ++piece) {
      if (piece->id >= 0) {
        output.push_back(piece->id);
      } else {
        model_->append_unknown(word.substr(piece->range.begin, piece->range.end - piece->range.begin),
                               output);
      }
    }
  }

  struct Piece {
    TextRange range;
    TokenId id;
  };
  const UnigramModel* model_;
  std::vector<UnigramModel::Step> steps_;
  std::vector<Piece> pieces_;
};

std::unique_ptr<WordEncoder> UnigramModel::make_encoder(std::size_t) const {
  return std::make_unique<UnigramEncoder>(*this);
}

}  // namespace

std::unique_ptr<TokenModel> make_unigram(const Vocabulary& vocabulary, UnigramOptions options) {
  return std::make_unique<UnigramModel>(vocabulary, std::move(options));
}

}  // namespace tessera::text
