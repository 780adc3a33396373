// Makes a tokenizer.json out of texts: byte-level BPE, a unigram model, or a token a character. Tessera and
// Hugging Face's tokenizers load what comes out, and give the same ids.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "text/bpe_trainer.h"

namespace tessera::text {

struct TokenizerTrainingOptions {
  std::size_t vocabulary_size = 0;               // special tokens included; characters need none
  std::vector<std::string> special_tokens = {};  // get the first ids; their text in the corpus parts it
  std::string pattern = "gpt2";                  // how BPE cuts words: gpt2, llama3
  std::uint64_t minimum_count = 2;               // of a pair that is merged
  TieBreak tie_break = TieBreak::greatest;
};

struct TrainedTokenizer {
  std::string tokenizer_json;
  std::size_t vocabulary_size = 0;
  std::vector<std::string> merges;  // "Ġ t", as in merges.txt; none for characters
};

// Ids: the special tokens, the 256 bytes in the order of their characters, then what was merged. Error
// bad_usage when the vocabulary has no room for those, or special tokens are empty or repeated.
TrainedTokenizer train_byte_level_bpe(std::span<const std::string_view> texts,
                                      const TokenizerTrainingOptions& options,
                                      const ProgressSink& progress = {});

// A unigram model of pieces (text/unigram_trainer.h). Ids: the special tokens, <unk> before them if it is not
// one, then the pieces, most probable first. Spaces are kept as U+2581 at the beginning of words, newlines
// stand alone, so that decoding gives the text back; a character the texts do not have is <unk>. Error
// bad_usage when the vocabulary has no room for every character.
TrainedTokenizer train_unigram_tokenizer(std::span<const std::string_view> texts,
                                         const TokenizerTrainingOptions& options,
                                         const ProgressSink& progress = {});

// Ids: the special tokens, then every character of the texts by code point. Other characters will have no
// token. Error limit when there are more than options.vocabulary_size, if that is not 0.
TrainedTokenizer train_characters(std::span<const std::string_view> texts,
                                  const TokenizerTrainingOptions& options);

}  // namespace tessera::text
