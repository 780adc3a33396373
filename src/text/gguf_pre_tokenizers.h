// The pre-tokenizers that GGUF files name in tokenizer.ggml.pre.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.h"
#include "text/pre_tokenizer.h"

namespace tessera::text {

// What one kind stands for.
struct GgufPreTokenizer {
  PreTokenizer pre_tokenizer;
  Normalizer normalizer;
  bool ignore_merges = false;
  bool add_bos = false;        // unless tokenizer.ggml.add_bos_token says otherwise
  bool add_separator = false;  // BERT-like kinds end with their separator
  bool byte_level =
      true;  // false: words are UTF-8 with byte fallback (SentencePiece vocabularies with merges)
};

// Error unsupported: a kind that is not known; it is named, with `where`.
GgufPreTokenizer make_gguf_pre_tokenizer(std::string_view kind, const std::string& where);

// One name of each kind that is known.
std::vector<std::string> gguf_pre_tokenizer_kinds();

}  // namespace tessera::text
