#include "text/byte_level.h"

#include <array>

#include "text/unicode.h"

namespace tessera::text {
namespace {

// The printable bytes of Latin-1 stand for themselves, the others for U+0100 on, in order.
struct Alphabet {
  std::array<CodePoint, 256> character{};
  std::array<short, 512> byte{};  // by code point; -1: not of the alphabet

  constexpr Alphabet() {
    for (short& value : byte) value = -1;
    CodePoint next = 0x100;
    for (CodePoint b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      character[b] = printable ? b : next++;
      byte[character[b]] = static_cast<short>(b);
    }
  }
};
constexpr Alphabet kAlphabet;

}  // namespace

void append_byte_character(std::string& output, unsigned char byte) {
  append_utf8(output, kAlphabet.character[byte]);
}

std::string to_byte_characters(std::string_view bytes) {
  std::string result;
  result.reserve(bytes.size() * 2);
  for (const char byte : bytes) append_byte_character(result, static_cast<unsigned char>(byte));
  return result;
}

char* write_bytes(std::string_view text, char* output) {
  for (std::size_t position = 0; position < text.size();) {
    const DecodedCharacter character = decode_character(text, position);
    position += character.length;
    if (character.code_point >= kAlphabet.byte.size() || kAlphabet.byte[character.code_point] < 0)
      return nullptr;
    *output++ = static_cast<char>(kAlphabet.byte[character.code_point]);
  }
  return output;
}

std::optional<std::string> from_byte_characters(std::string_view text) {
  std::string result(text.size(), '\0');
  const char* const end = write_bytes(text, result.data());
  if (end == nullptr) return std::nullopt;
  result.resize(static_cast<std::size_t>(end - result.data()));
  return result;
}

}  // namespace tessera::text
