// SentencePiece's BPE (Kudo, Richardson 2018): the neighbours whose joined spelling is the token with the
// highest score merge first; characters without token become bytes. The `llama` vocabularies of GGUF files.
#pragma once
#include <memory>
#include <vector>

#include "text/token_model.h"
#include "text/vocabulary.h"

namespace tessera::text {

// `scores` by id, one for each token. `unknown_token` stands for a character that has neither token nor byte
// tokens.
std::unique_ptr<TokenModel> make_sentencepiece_bpe(const Vocabulary& vocabulary, std::vector<float> scores,
                                                   std::optional<TokenId> unknown_token);

}  // namespace tessera::text
