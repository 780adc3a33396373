// The part of a tokenizer that turns words into ids. BPE and SentencePiece's score-driven BPE are here;
// Unigram and WordPiece will be further implementations beside them.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace tessera::text {

// Encodes the words of one text; what it remembers of them is its own, so many threads may have one each.
class WordEncoder {
 public:
  virtual ~WordEncoder() = default;
  // Appends the ids of `words`, the pieces of `text` that the pre-tokenizer made: valid UTF-8, or raw bytes
  // when the model is byte-level. O(n log n) time in the longest word, constant stack, no allocation a word.
  virtual void append_tokens(std::string_view text, std::span<const TextRange> words,
                             std::vector<TokenId>& output) = 0;
};

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // For a text of about `text_bytes`; the model must outlive it.
  virtual std::unique_ptr<WordEncoder> make_encoder(std::size_t text_bytes) const = 0;
  virtual std::string description() const = 0;
};

}  // namespace tessera::text
