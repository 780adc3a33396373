#include "text/bpe.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>

#include "text/byte_level.h"
#include "text/encode_work.h"
#include "text/symbol_merger.h"
#include "text/underlines.h"
#include "text/unicode.h"
#include "text/word_cache.h"

namespace tessera::text {
namespace {

constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();

// (left, right) to (rank, result): open addressing, the one look-up of the merge loop.
class MergeTable {
 public:
  explicit MergeTable(std::size_t merges) : slots_(std::bit_ceil(merges + merges / 2 + 16)) {}

  void insert(const BpeMerge& merge, std::uint32_t rank, bool replace) {
    Slot& slot = slots_[locate(key_of(merge.left, merge.right))];
    if (slot.key != kEmpty && !replace) return;
    slot = {key_of(merge.left, merge.right), rank, merge.result};
  }

  bool find(TokenId left, TokenId right, std::uint32_t& rank, TokenId& result) const {
    const Slot& slot = slots_[locate(key_of(left, right))];
    if (slot.key == kEmpty) return false;
    rank = slot.rank;
    result = slot.result;
    return true;
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};  // no pair: ids are not negative
  struct Slot {
    std::uint64_t key = kEmpty;
    std::uint32_t rank = 0;
    TokenId result = 0;
  };

  static std::uint64_t key_of(TokenId left, TokenId right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
           static_cast<std::uint32_t>(right);
  }
  std::size_t locate(std::uint64_t key) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t index = (key * 0x9e3779b97f4a7c15U) >> 32 & mask;
    while (slots_[index].key != kEmpty && slots_[index].key != key) index = (index + 1) & mask;
    return index;
  }

  std::vector<Slot> slots_;
};

struct RankRules {
  using Symbol = TokenId;
  struct Merge {
    std::uint32_t priority = 0;  // the rank
    TokenId result = 0;
  };
  const MergeTable* table = nullptr;

  bool find(TokenId left, TokenId right, Merge& merge) const {
    return table->find(left, right, merge.priority, merge.result);
  }
  bool still_valid(const Merge& merge, TokenId left, TokenId right) const {
    Merge now;
    return find(left, right, now) && now.result == merge.result;
  }
  TokenId join(const Merge& merge, TokenId, TokenId) const { return merge.result; }
};

// The merges of a word's first symbols, its single bytes: pairs that every word looks up, without hashing.
class BytePairs {
 public:
  struct Pair {
    std::uint32_t rank = kNoRank;
    TokenId result = 0;
  };

  BytePairs(const std::array<TokenId, 256>& byte_ids, std::size_t vocabulary_size, const MergeTable& table,
            const std::vector<BpeMerge>& merges)
      : pairs_(256 * 256) {
    std::vector<short> byte_of(vocabulary_size, -1);
    for (std::size_t byte = 0; byte < 256; ++byte)
      byte_of[static_cast<std::size_t>(byte_ids[byte])] = static_cast<short>(byte);
    for (const BpeMerge& merge : merges) {
      const short left = byte_of[static_cast<std::size_t>(merge.left)];
      const short right = byte_of[static_cast<std::size_t>(merge.right)];
      if (left < 0 || right < 0) continue;
      Pair& pair = pairs_[static_cast<std::size_t>(left) << 8 | static_cast<std::size_t>(right)];
      if (!table.find(merge.left, merge.right, pair.rank, pair.result)) pair = {};
    }
  }
  const Pair& operator()(char left, char right) const {
    return pairs_[static_cast<std::size_t>(static_cast<unsigned char>(left)) << 8 |
                  static_cast<unsigned char>(right)];
  }

 private:
  std::vector<Pair> pairs_;
};

// Merging within a word of at most kMaximum symbols: all ranks lie side by side, and each turn takes the
// smallest, which for so few costs less than a queue.
class ShortWordMerger {
 public:
  static constexpr std::size_t kMaximum = 48;

  explicit ShortWordMerger(const MergeTable& table) : table_(table) {}

  // The symbols, and between symbol i and i + 1 its merge; the caller fills both for `count` symbols.
  std::array<TokenId, kMaximum> symbols{};
  std::array<std::uint32_t, kMaximum> ranks{};
  std::array<TokenId, kMaximum> results{};

  std::span<const TokenId> run(std::size_t count) {
    while (count > 1) {
      const auto best = static_cast<std::size_t>(
          std::min_element(ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(count - 1)) -
          ranks.begin());
      if (ranks[best] == kNoRank) break;
      symbols[best] = results[best];
      --count;
      for (std::size_t i = best + 1; i < count; ++i) symbols[i] = symbols[i + 1];
      for (std::size_t i = best + 1; i + 1 < count; ++i) {
        ranks[i] = ranks[i + 1];
        results[i] = results[i + 1];
      }
      if (best > 0) look_up(best - 1);
      if (best + 1 < count) look_up(best);
    }
    return std::span(symbols).first(count);
  }

  void look_up(std::size_t i) {
    if (!table_.find(symbols[i], symbols[i + 1], ranks[i], results[i])) ranks[i] = kNoRank;
  }

 private:
  const MergeTable& table_;
};

class Bpe final : public TokenModel {
 public:
  Bpe(const Vocabulary& vocabulary, BpeOptions options, const std::vector<BpeMerge>& merges, bool last_counts)
      : options_(std::move(options)), table_(merges.size()), rules_{&table_} {
    const bool has_affixes =
        !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
    index_words(vocabulary);
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      if (is_text(vocabulary.kind(merges[rank].result))) {
        table_.insert(merges[rank], static_cast<std::uint32_t>(rank), last_counts);
      }
    }
    starts_from_bytes_ = options_.byte_level && !has_affixes;
    const auto absent = [](TokenId id) { return id < 0; };
    if (starts_from_bytes_ && std::none_of(byte_ids_.begin(), byte_ids_.end(), absent)) {
      byte_pairs_ = std::make_unique<BytePairs>(byte_ids_, vocabulary.size(), table_, merges);
    }
    if (!options_.byte_level && !has_affixes &&
        std::none_of(fallback_ids_.begin(), fallback_ids_.end(), absent))
      cuts_at_underlines_ =
          options_.byte_fallback && words_.find(kUnderline) && !crosses_underlines(vocabulary);
    is_whole_ = std::vector<std::atomic<std::uint8_t>>(vocabulary.size());
  }

  std::unique_ptr<WordEncoder> make_encoder(std::size_t text_bytes) const override {
    return std::make_unique<Encoder>(*this, text_bytes);
  }

  std::string description() const override { return options_.byte_level ? "byte-level BPE" : "BPE"; }

 private:
  class Encoder final : public WordEncoder {
   public:
    Encoder(const Bpe& model, std::size_t text_bytes)
        : model_(model), cache_(text_bytes), short_(model.table_), long_(model.rules_) {}

    void append_tokens(std::string_view text, std::span<const TextRange> words,
                       std::vector<TokenId>& output) override {
      const auto encode = [this](std::string_view word) { return ids_of(word); };
      if (model_.cuts_at_underlines_) {
        cut_words_.clear();
        for (const TextRange& word : words) cut_at_underlines(text, word, cut_words_);
        words = cut_words_;
      }
      append_words(cache_, text, words, output, encode);
      encode_work().merge_lookups += lookups_ + long_.lookups();
      lookups_ = 0;
      long_.reset_lookups();
    }

   private:
    // A word that is a token: what its merges give is looked into once in the life of the model.
    std::span<const TokenId> ids_of(std::string_view word) {
      const auto whole = model_.words_.find(word);
      if (!whole) return merged(word);
      whole_ = *whole;
      if (model_.options_.ignore_merges) return {&whole_, 1};
      std::atomic<std::uint8_t>& known = model_.is_whole_[static_cast<std::size_t>(whole_)];
      const std::uint8_t state = known.load(std::memory_order_relaxed);
      if (state == kIsWhole) return {&whole_, 1};
      const std::span<const TokenId> ids = merged(word);
      if (state == kUnknown) {
        known.store(ids.size() == 1 && ids[0] == whole_ ? kIsWhole : kIsCut, std::memory_order_relaxed);
      }
      return ids;
    }

    std::span<const TokenId> merged(std::string_view word) {
      if (model_.byte_pairs_ && word.size() <= ShortWordMerger::kMaximum) return merged_bytes(word);
      std::vector<TokenId>& symbols = long_.symbols();
      symbols.clear();
      if (model_.starts_from_bytes_) {
        model_.start_bytes(word, symbols);
      } else {
        model_.start_characters(word, symbols);
      }
      const std::size_t count = symbols.size();
      if (count > ShortWordMerger::kMaximum || count < 2) {
        long_.run();
        return symbols;
      }
      lookups_ += count * count;  // at most so many pairs are looked up or compared
      std::copy(symbols.begin(), symbols.end(), short_.symbols.begin());
      for (std::size_t i = 0; i + 1 < count; ++i) short_.look_up(i);
      return short_.run(count);
    }

    std::span<const TokenId> merged_bytes(std::string_view word) {
      const std::size_t count = word.size();
      lookups_ += count * count;
      for (std::size_t i = 0; i < count; ++i) short_.symbols[i] = model_.byte_id(word[i]);
      for (std::size_t i = 0; i + 1 < count; ++i) {
        const BytePairs::Pair& pair = (*model_.byte_pairs_)(word[i], word[i + 1]);
        short_.ranks[i] = pair.rank;
        short_.results[i] = pair.result;
      }
      return short_.run(count);
    }

    const Bpe& model_;
    WordCache cache_;
    ShortWordMerger short_;
    SymbolMerger<RankRules> long_;
    std::vector<TextRange> cut_words_;
    std::uint64_t lookups_ = 0;
    TokenId whole_ = 0;
  };

  static constexpr std::uint8_t kUnknown = 0;
  static constexpr std::uint8_t kIsWhole = 1;
  static constexpr std::uint8_t kIsCut = 2;  // the merges give something else than the token itself

  static bool is_text(TokenKind kind) { return kind != TokenKind::control && kind != TokenKind::unknown; }

  TokenId byte_id(char byte) const { return byte_ids_[static_cast<unsigned char>(byte)]; }

  void index_words(const Vocabulary& vocabulary) {
    byte_ids_.fill(-1);
    fallback_ids_.fill(-1);
    words_.reserve(vocabulary.size(), vocabulary.size() * 8);
    for (std::size_t i = 0; i < vocabulary.size(); ++i) {
      const auto id = static_cast<TokenId>(i);
      if (!vocabulary.contains(id) || !is_text(vocabulary.kind(id))) continue;
      const std::string_view text = vocabulary.text(id);
      if (const auto byte = parse_byte_token(text)) {
        if (text == byte_token_text(*byte))
          fallback_ids_[*byte] = id;  // only upper-case digits are asked for
      }
      if (!options_.byte_level) {
        words_.insert(text, id);
      } else if (const auto bytes = from_byte_characters(text)) {
        words_.insert(*bytes, id);
        if (bytes->size() == 1) byte_ids_[static_cast<unsigned char>(bytes->front())] = id;
      }
    }
  }

  void start_bytes(std::string_view word, std::vector<TokenId>& symbols) const {
    bool after_unknown = false;
    for (const char c : word) {
      const TokenId id = byte_ids_[static_cast<unsigned char>(c)];
      if (id >= 0) {
        symbols.push_back(id);
      } else if (options_.unknown_token && !(options_.fuse_unknown && after_unknown)) {
        symbols.push_back(*options_.unknown_token);
      }
      after_unknown = id < 0;
    }
  }

  // One symbol a character (a byte, when byte-level), with the reference's order of things: a pending unknown
  // token is given out before the next known character or at the end, and bytes do not flush it.
  void start_characters(std::string_view word, std::vector<TokenId>& symbols) const {
    bool pending = false;
    std::string spelling;
    for (std::size_t begin = 0, length = 0; begin < word.size(); begin += length) {
      length = options_.byte_level ? 1 : character_length(word[begin]);
      std::string_view character = word.substr(begin, length);
      const bool prefixed = begin > 0 && !options_.continuing_subword_prefix.empty();
      const bool suffixed = begin + length == word.size() && !options_.end_of_word_suffix.empty();
      if (prefixed || suffixed) {
        spelling = prefixed ? options_.continuing_subword_prefix : std::string();
        spelling += character;
        if (suffixed) spelling += options_.end_of_word_suffix;
        character = spelling;
      }
      if (const auto id = words_.find(character)) {
        if (pending) symbols.push_back(*options_.unknown_token);
        pending = false;
        symbols.push_back(*id);
      } else if (options_.byte_fallback && append_fallback(character, symbols)) {
        continue;
      } else if (options_.unknown_token) {
        if (pending && !options_.fuse_unknown) symbols.push_back(*options_.unknown_token);
        pending = true;
      }
    }
    if (pending) symbols.push_back(*options_.unknown_token);
  }

  bool append_fallback(std::string_view character, std::vector<TokenId>& symbols) const {
    for (const char c : character) {
      if (fallback_ids_[static_cast<unsigned char>(c)] < 0) return false;
    }
    for (const char c : character) symbols.push_back(fallback_ids_[static_cast<unsigned char>(c)]);
    return true;
  }

  BpeOptions options_;
  bool starts_from_bytes_ = false;
  bool cuts_at_underlines_ = false;
  StringMap words_;  // raw bytes when byte-level, else as the vocabulary spells
  std::array<TokenId, 256> byte_ids_{};
  std::array<TokenId, 256> fallback_ids_{};
  MergeTable table_;
  RankRules rules_;
  std::unique_ptr<BytePairs> byte_pairs_;                    // when every byte has a token
  mutable std::vector<std::atomic<std::uint8_t>> is_whole_;  // by id: kUnknown, kIsWhole, kIsCut
};

}  // namespace

std::unique_ptr<TokenModel> make_bpe(const Vocabulary& vocabulary, BpeOptions options,
                                     const std::vector<BpeMerge>& merges, bool last_duplicate_counts) {
  return std::make_unique<Bpe>(vocabulary, std::move(options), merges, last_duplicate_counts);
}

}  // namespace tessera::text
