// The tokens of an answer with their probabilities: shown while it comes, stored with it, shown again later.
// For .cpp files of this room only.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "serve/json_fields.h"
#include "text/tokenizer.h"

namespace tessera::serve {

struct ShownAlternative {
  std::string text;
  double logprob = 0;
};
struct ShownToken {
  std::string text;  // that became certain with it; all of an answer's make its text
  double logprob = 0;
  std::vector<ShownAlternative> top = {};  // best first
};

// The tokens of a piece: text that several make together belongs to the last of them.
std::vector<ShownToken> shown_tokens(const engine::GeneratedPiece& piece, const text::Tokenizer& tokenizer);
Json token_json(const ShownToken& token);  // {text, logprob, top}

// As bytes for the store: a version, then each token as its text, its -logprob in thousandths (up to 1000)
// and its alternatives in the same way; lengths and numbers in groups of 7 bits (LEB128).
class TokenRecord {
 public:
  void add(const std::vector<ShownToken>& tokens);
  // Empty: nothing was added, or more than a store should keep.
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  bool too_long_ = false;
};
// nullopt: not written by TokenRecord.
std::optional<std::vector<ShownToken>> read_token_record(std::string_view bytes);

}  // namespace tessera::serve
