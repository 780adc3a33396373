// Tokens that are looked for in the text before everything else: control tokens such as <|im_start|> and
// words that were added to a vocabulary, with their flags (Hugging Face AddedToken).
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer.h"

namespace tessera::text {

struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and after it
  bool normalized = false;   // is looked for in the normalized text
  bool special = false;      // a control token: only with parse_special
};

// A part of a text: an added token, or text (id -1).
struct TextPiece {
  TextRange range;
  TokenId id = -1;
};

inline constexpr std::size_t kMaximumAddedTokenBytes = 4096;

class AddedTokenMatcher {
 public:
  // Tokens with empty content are left out. Error limit: longer than kMaximumAddedTokenBytes.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens = {});

  bool empty() const { return tokens_.empty(); }
  bool has_special() const { return has_special_; }

  // Cuts `text` where tokens match: leftmost first, of those the longest. Special ones match only with
  // `parse_special` and outside `literal_ranges` (sorted, in bytes of `text`). Text pieces are never empty.
  void split(std::string_view text, bool parse_special, std::span<const TextRange> literal_ranges,
             std::vector<TextPiece>& pieces) const;

 private:
  static constexpr std::size_t kMaximumSearchedBytes = 3;

  struct Match {
    std::size_t end = 0;
    std::int32_t token = -1;
  };
  // Where a token may begin, from front to back: at one of a few first bytes each is searched for by itself.
  class Candidates {
   public:
    Candidates(const AddedTokenMatcher& matcher, std::string_view text) : matcher_(matcher), text_(text) {}
    // The first at or after `position`, which must not fall; text.size() when there is none.
    std::size_t next(std::size_t position);

   private:
    const AddedTokenMatcher& matcher_;
    std::string_view text_;
    std::array<std::size_t, kMaximumSearchedBytes> found_{};
    std::array<bool, kMaximumSearchedBytes> searched_{};
  };
  Match longest_match(std::string_view text, std::size_t begin) const;
  std::uint32_t child(std::uint32_t node, unsigned char byte) const;

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> first_bytes_{};
  std::string different_first_bytes_;
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;  // node << 8 | byte
  std::vector<std::int32_t> token_at_;                      // by node; -1: none ends here
  bool has_special_ = false;
};

}  // namespace tessera::text
