#include "text/bpe.h"

#include <bit>

#include "text/byte_level.h"
#include "text/encode_work.h"
#include "text/symbol_merger.h"
#include "text/unicode.h"

namespace tessera::text {
namespace {

// (left, right) to (rank, result): open addressing, the one look-up of the merge loop.
class MergeTable {
 public:
  explicit MergeTable(std::size_t merges) : slots_(std::bit_ceil(merges * 2 + 16)) {}

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

class Bpe final : public TokenModel {
 public:
  Bpe(const Vocabulary& vocabulary, BpeOptions options, const std::vector<BpeMerge>& merges, bool last_counts)
      : options_(std::move(options)), table_(merges.size()), rules_{&table_} {
    has_affixes_ = !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
    index_words(vocabulary);
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      if (is_text(vocabulary.kind(merges[rank].result))) {
        table_.insert(merges[rank], static_cast<std::uint32_t>(rank), last_counts);
      }
    }
  }

  void append_tokens(std::string_view text, std::span<const TextRange> words,
                     std::vector<TokenId>& output) const override {
    SymbolMerger<RankRules> merger(rules_);
    std::vector<TokenId>& symbols = merger.symbols();
    for (const TextRange& range : words) {
      const std::string_view word = text.substr(range.begin, range.end - range.begin);
      if (options_.ignore_merges) {
        if (const auto id = words_.find(word)) {
          output.push_back(*id);
          continue;
        }
      }
      symbols.clear();
      if (options_.byte_level && !has_affixes_) {
        start_bytes(word, symbols);
      } else {
        start_characters(word, symbols);
      }
      merger.run();
      output.insert(output.end(), symbols.begin(), symbols.end());
    }
    encode_work().merge_lookups += merger.lookups();
  }

  std::string description() const override { return options_.byte_level ? "byte-level BPE" : "BPE"; }

 private:
  static bool is_text(TokenKind kind) { return kind != TokenKind::control && kind != TokenKind::unknown; }

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
  bool has_affixes_ = false;
  StringMap words_;  // raw bytes when byte-level, else as the vocabulary spells
  std::array<TokenId, 256> byte_ids_{};
  std::array<TokenId, 256> fallback_ids_{};
  MergeTable table_;
  RankRules rules_;
};

}  // namespace

std::unique_ptr<TokenModel> make_bpe(const Vocabulary& vocabulary, BpeOptions options,
                                     const std::vector<BpeMerge>& merges, bool last_duplicate_counts) {
  return std::make_unique<Bpe>(vocabulary, std::move(options), merges, last_duplicate_counts);
}

}  // namespace tessera::text
