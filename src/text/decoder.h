// Tokens back to text: the decoders of tokenizer.json, over a whole sequence or one token at a time.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/normalizer.h"
#include "text/pre_tokenizer.h"

namespace tessera::text {

// The steps, named as in tokenizer.json.
struct ByteLevelDecoder {};
struct MetaspaceDecoder {
  std::string replacement = "\xe2\x96\x81";
  bool strip_first = true;
};
struct ByteFallbackDecoder {};
struct FuseDecoder {};
struct StripDecoder {
  std::string content = " ";  // one character
  std::size_t start = 0;
  std::size_t stop = 0;
};
struct ReplaceDecoder {
  Replace replace;
};
struct WordPieceDecoder {
  std::string prefix = "##";
  bool cleanup = true;
};
struct BpeDecoder {
  std::string suffix = "</w>";
};

using DecoderStep = std::variant<ByteLevelDecoder, MetaspaceDecoder, ByteFallbackDecoder, FuseDecoder,
                                 StripDecoder, ReplaceDecoder, WordPieceDecoder, BpeDecoder>;

class Decoder {
 public:
  void add(DecoderStep step);
  // Without steps tokens are joined with spaces.
  bool empty() const { return steps_.empty(); }

  // The text of `tokens` (the vocabulary's spellings), ill-formed bytes as U+FFFD.
  std::string decode(std::span<const std::string_view> tokens) const;
  // The bytes one token adds: at the start of a text or within one. Possibly part of a character.
  std::string token_bytes(std::string_view token, bool at_start) const;

 private:
  // Replace U+2581 by a space, bytes, and what may follow once all is one text: SentencePiece's steps.
  bool is_sentencepiece() const;

  std::vector<DecoderStep> steps_;
};

}  // namespace tessera::text
