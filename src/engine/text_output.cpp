#include "engine/text_output.h"

#include <algorithm>
#include <utility>

namespace tessera::engine {
namespace {

// After nothing but BOS the first token begins the text, and loses the space that some tokenizers put there.
bool begins_text(const text::Tokenizer& tokenizer, const Request& request) {
  return std::ranges::all_of(
      request.prompt, [&](TokenId token) { return tokenizer.token_kind(token) == text::TokenKind::control; });
}

}  // namespace

TextOutput::TextOutput(const text::Tokenizer& tokenizer, const Request& request)
    : decoder_(tokenizer, true, begins_text(tokenizer, request)), matcher_(request.stop) {}

bool TextOutput::push(SampledToken token) {
  const std::string text = decoder_.push(token.token);
  waiting_.tokens.push_back(std::move(token));
  waiting_.text += matcher_.push(text);
  if (!waiting_.text.empty()) close_piece();
  return matcher_.matched().has_value();
}

void TextOutput::finish() {
  waiting_.text += matcher_.push(decoder_.finish());
  waiting_.text += matcher_.finish();
  if (!waiting_.text.empty() || !waiting_.tokens.empty()) close_piece();
}

std::vector<GeneratedPiece> TextOutput::take_pieces() { return std::exchange(ready_, {}); }

void TextOutput::close_piece() { ready_.push_back(std::exchange(waiting_, {})); }

}  // namespace tessera::engine
