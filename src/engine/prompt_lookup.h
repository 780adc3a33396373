// Where the end of a text occurred before in the same text, found in constant time a token: the index behind
// prompt-lookup drafts (Saxena 2023), built like an LZ77 match finder (Ziv & Lempel 1977).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/token_id.h"

namespace tessera::engine {

class PromptLookup {
 public:
  // n-grams that are looked up, longest first.
  static constexpr std::array<std::int64_t, 4> kLengths{8, 5, 3, 2};
  // Beyond this a longer match says nothing more.
  static constexpr std::int64_t kLongestMatch = 64;

  struct Match {
    std::int64_t next = 0;    // position of the token that followed then
    std::int64_t length = 0;  // tokens before `next` that equal the end of the text; 0: nothing found
  };

  // Takes in the tokens that came after those of the last call; `tokens` must begin with the earlier ones.
  void extend(std::span<const TokenId> tokens);
  // The latest earlier place of the longest n-gram that ends `tokens`, which extend() has seen; the length of
  // the match is told up to kLongestMatch.
  Match find(std::span<const TokenId> tokens) const;

 private:
  struct Table {
    std::vector<std::int32_t> next;  // by hash: position after the latest n-gram with it; 0: none
  };
  static std::size_t slot(std::span<const TokenId> ngram, std::size_t slots);
  void insert(std::span<const TokenId> tokens, std::size_t next);
  void grow(std::span<const TokenId> tokens);

  std::array<Table, kLengths.size()> tables_;
  std::size_t known_ = 0;  // tokens taken in
};

}  // namespace tessera::engine
