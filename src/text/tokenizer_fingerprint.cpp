#include "text/tokenizer_fingerprint.h"

#include "base/error.h"
#include "base/xxhash64.h"

namespace tessera::text {
namespace {

// Nothing where the ids leave a hole.
std::string_view spelling_of(const Tokenizer& tokenizer, TokenId id) {
  try {
    return tokenizer.token_text(id);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

std::uint64_t tokenizer_fingerprint(const Tokenizer& tokenizer) {
  XxHash64 hash;
  const auto add_number = [&](std::uint64_t value) { hash.update(std::as_bytes(std::span(&value, 1))); };
  add_number(tokenizer.vocabulary_size());
  for (std::size_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
    const std::string_view spelling = spelling_of(tokenizer, static_cast<TokenId>(id));
    add_number(spelling.size());
    hash.update(spelling);
  }
  const std::uint64_t fingerprint = hash.digest();
  return fingerprint == 0 ? 1 : fingerprint;
}

}  // namespace tessera::text
