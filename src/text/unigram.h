// The unigram language model tokenizer (Kudo 2018, "Subword Regularization"): each piece has a log
// probability, and a word becomes the pieces whose sum is greatest.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "text/token_model.h"
#include "text/vocabulary.h"

namespace tessera::text {

inline constexpr std::size_t kMaximumUnigramPieceBytes =
    1024;  // bounds the time of a walk from one character

struct UnigramOptions {
  std::vector<double> scores;            // log probabilities, by id
  std::optional<TokenId> unknown_token;  // several unknown characters in a row are one
  bool byte_fallback = false;  // unknown characters become their bytes' <0xNN> tokens, if all are there
};

// A model over `vocabulary` (which need not outlive it), whose control, byte and unknown tokens no text can
// spell. An unknown character costs the least score of all less 10, as in Hugging Face's tokenizers; of paths
// with the same sum the one whose last piece begins first counts, as there. Without an unknown token unknown
// characters give nothing.
std::unique_ptr<TokenModel> make_unigram(const Vocabulary& vocabulary, UnigramOptions options);

}  // namespace tessera::text
