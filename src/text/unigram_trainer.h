// Learns the pieces and probabilities of a unigram tokenizer from counted words, as SentencePiece does (Kudo
// 2018): many seed pieces, expectation maximisation, and pruning of those that are missed least.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe_trainer.h"

namespace tessera::text {

struct UnigramTrainerOptions {
  std::size_t pieces = 0;               // to end with; every character of the words is among them
  std::size_t seed_pieces = 1'000'000;  // to begin with
  std::size_t most_characters = 16;     // of a piece
  double shrinking_factor = 0.75;       // of the pieces, kept at each pruning
  int sub_iterations = 2;               // of expectation maximisation before each
};

struct UnigramPiece {
  std::string text;
  double score = 0;  // log probability
};

// `words` are valid UTF-8, each once. The pieces by score, greatest first; the same for every machine and
// number of threads. Error bad_usage when the words have more characters than `pieces`. `step` (may be empty)
// is called with the number of pieces left.
std::vector<UnigramPiece> train_unigram(std::span<const CountedWord> words,
                                        const UnigramTrainerOptions& options,
                                        const std::function<void(std::size_t)>& step = {});

}  // namespace tessera::text
