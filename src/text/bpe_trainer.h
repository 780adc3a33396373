// Learns the merges of byte-pair encoding from counted words (Sennrich, Haddow, Birch 2016), each step taking
// the most frequent pair of neighbours.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/token_id.h"

namespace tessera::text {

struct CountedWord {
  std::string_view bytes;
  std::uint64_t count = 0;
};

// Which of several pairs with the same count is merged first. Both are fixed by the text alone.
enum class TieBreak {
  greatest,  // the pair whose left, then right bytes are greatest
  first,     // the pair whose left, then right id is least, as the trainer of Hugging Face's tokenizers
};

struct BpeTrainerOptions {
  std::size_t vocabulary_size = 0;  // tokens to end with, the base ones included
  std::uint64_t minimum_count = 2;  // pairs that come less often are not merged
  TieBreak tie_break = TieBreak::greatest;
};

struct TrainedBpe {
  std::vector<std::string> tokens;                  // bytes, by id: the base tokens, then what merges made
  std::vector<std::pair<TokenId, TokenId>> merges;  // in order
};

// `base`: the bytes of each base token by id; every byte that the words hold must be one of them (Error
// internal), empty ones stand for tokens that no text makes (special tokens). Fewer tokens come out when no
// pair is left that is frequent enough. Pairs are counted once and then kept up to date: O(n log n) for n
// bytes of words. `step` (may be empty) is called with the number of tokens so far, now and then. Error limit
// above 2^32 bytes of words.
TrainedBpe train_bpe(std::span<const CountedWord> words, std::span<const std::string> base,
                     const BpeTrainerOptions& options, const std::function<void(std::size_t)>& step = {});

}  // namespace tessera::text
