// The one implementation of Tokenizer: added tokens, normalizer, pre-tokenizer, model, post-processor and
// decoder in a row, as Hugging Face `tokenizers` has them. The loaders (tokenizer_json.cpp,
// gguf_vocabulary.cpp) only fill the parts.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/token_model.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace tessera::text {

struct TokenizerParts {
  Vocabulary vocabulary;
  std::vector<AddedToken> added_tokens;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<TokenModel> model;
  PostProcessor post_processor;
  Decoder decoder;
  bool byte_level = false;  // the model's words are raw bytes
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::vector<TokenId> end_of_generation;  // sorted
  std::string description;
};

// Spellings of the tokens that end a turn or a text in the models we know.
bool is_end_of_generation_text(std::string_view text);
// Adds every control token of such a spelling to `parts`, and its eos; then sorts. `ids` are further ones.
void set_end_of_generation(TokenizerParts& parts, const std::vector<TokenId>& ids);

std::unique_ptr<Tokenizer> make_pipeline_tokenizer(TokenizerParts parts);

}  // namespace tessera::text
