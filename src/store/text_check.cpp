#include "store/text_check.h"

#include "base/error.h"

namespace tessera::store {
namespace {

// Bytes of the character at the start of `text`; 0 when it is none.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const std::size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (text.size() < length) return 0;
  // The second byte keeps out overlong forms, surrogates, and what lies above U+10FFFF.
  const unsigned char lowest = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned char highest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < lowest || byte(1) > highest) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  }
  return length;
}

}  // namespace

std::size_t valid_utf8_prefix(std::string_view text) {
  std::size_t position = 0;
  while (position < text.size()) {
    const std::size_t length = character_length(text.substr(position));
    if (length == 0) break;
    position += length;
  }
  return position;
}

void check_text(std::string_view text, std::size_t longest, std::string_view what) {
  if (text.size() > longest) {
    fail(ErrorKind::limit, "{}: expected at most {} bytes, found {}", what, longest, text.size());
  }
  if (const std::size_t valid = valid_utf8_prefix(text); valid != text.size()) {
    fail(ErrorKind::bad_input, "{}: expected UTF-8, found {} at byte {}", what,
         printable(text.substr(valid, 4)), valid);
  }
}

}  // namespace tessera::store
