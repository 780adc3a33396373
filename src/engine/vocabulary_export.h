// A tokenizer.json as the vocabulary keys of a GGUF file (tokenizer.ggml.*).
#pragma once
#include <cstdint>
#include <string>

#include "base/metadata.h"

namespace tessera::engine {

// Byte-level BPE becomes GGUF's `gpt2`, BPE over SentencePiece pieces its `llama`. Which pre-tokenizer GGUF
// is to name, and which of its switches are on, is found by trying: the first that gives the ids of
// tokenizer.json on a set of texts (languages, numbers, white space, code, control tokens) is taken.
// `vocab_size`: rows of the embedding; ids without a token become unused ones. `config_path`:
// tokenizer_config.json, or empty. Error unsupported: another kind of model, or no GGUF pre-tokenizer gives
// the same ids; bad_input as the tokenizer's reader says.
Metadata export_vocabulary(const std::string& tokenizer_json, const std::string& config_path,
                           std::int64_t vocab_size);

}  // namespace tessera::engine
