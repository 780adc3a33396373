#include "text/tokenizer.h"
#include "text/unicode.h"

namespace tessera::text {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special, bool at_text_start)
    : tokenizer_(&tokenizer), skip_special_(skip_special), first_(at_text_start) {}

std::string StreamDecoder::push(TokenId id) {
  if (skip_special_ && tokenizer_->token_kind(id) == TokenKind::control) return {};
  pending_ += first_ ? tokenizer_->first_token_bytes(id) : tokenizer_->token_bytes(id);
  first_ = false;
  std::string output;
  std::size_t position = 0;
  while (position < pending_.size()) {
    const std::string_view rest = std::string_view(pending_).substr(position);
    const std::size_t valid = valid_utf8_prefix(rest);
    output.append(rest.substr(0, valid));
    position += valid;
    if (position == pending_.size()) break;
    bool needs_more = false;
    const std::size_t bad = ill_formed_length(std::string_view(pending_).substr(position), needs_more);
    if (needs_more) break;
    append_utf8(output, kReplacementCharacter);
    position += bad;
  }
  pending_.erase(0, position);
  return output;
}

std::string StreamDecoder::finish() {
  std::string output = replace_ill_formed(pending_);
  pending_.clear();
  return output;
}

}  // namespace tessera::text
