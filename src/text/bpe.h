// Byte-pair encoding by rank of merges (Sennrich, Haddow, Birch 2016), over bytes (GPT-2) or over characters
// with byte fallback (SentencePiece models converted to Hugging Face's form).
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/token_model.h"
#include "text/vocabulary.h"

namespace tessera::text {

struct BpeOptions {
  bool byte_level = false;     // words are raw bytes; the vocabulary is spelled in byte characters
  bool byte_fallback = false;  // a character without token becomes its bytes' <0xNN> tokens
  bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
  bool fuse_unknown = false;   // several unknown characters in a row are one unknown token
  std::optional<TokenId> unknown_token;
  std::string continuing_subword_prefix;
  std::string end_of_word_suffix;
};

struct BpeMerge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId result = 0;
};

// A model over `vocabulary`, whose control and unknown tokens no text can spell. `merges` by rank, first one
// first; of two with the same pair the later one counts when `last_duplicate_counts` (Hugging Face), else the
// first (GGUF).
std::unique_ptr<TokenModel> make_bpe(const Vocabulary& vocabulary, BpeOptions options,
                                     const std::vector<BpeMerge>& merges, bool last_duplicate_counts);

}  // namespace tessera::text
