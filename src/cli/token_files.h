// Texts and conversations to token files with a model's tokenizer and template: what `data` does, and
// `finetune` with what it is given.
#pragma once
#include <string>

#include "train/prepare_data.h"

namespace tessera::cli {

struct TokenFilesRequest {
  std::string model;             // path: a GGUF file, a Hugging Face folder, a tokenizer.json
  std::string chat_template;     // a Jinja file; empty: the model's own, or ChatML's
  std::string output;            // folder
  bool eos_where_known = false;  // add_eos when the tokenizer has an EOS
  train::PrepareDataOptions options;
};

// Writes the folder and the tokenizer beside the tokens, with progress in a terminal. Error as prepare_data;
// cancelled on Ctrl-C.
train::PreparedData write_token_files(const TokenFilesRequest& request);

// "run/train.tokens: 1000 tokens in 1 documents" for each file.
void print_token_files(const train::PreparedData& prepared);

}  // namespace tessera::cli
