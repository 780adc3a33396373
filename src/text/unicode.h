// UTF-8 and the properties of characters that tokenizers ask for: categories (the Unicode version of the
// reference implementation, see tools/make_unicode_categories.py), case, normal forms.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace tessera::text {

using CodePoint = std::uint32_t;
inline constexpr CodePoint kReplacementCharacter = 0xfffd;
inline constexpr CodePoint kMaximumCodePoint = 0x10ffff;

// Unicode general categories, in the order of unicode_categories.inc.
enum class Category : std::uint8_t {
  Cn,
  Cc,
  Cf,
  Co,
  Lu,
  Ll,
  Lt,
  Lm,
  Lo,
  Mn,
  Mc,
  Me,
  Nd,
  Nl,
  No,
  Pc,
  Pd,
  Ps,
  Pe,
  Pi,
  Pf,
  Po,
  Sm,
  Sc,
  Sk,
  So,
  Zs,
  Zl,
  Zp
};

// What the hand-written scanners ask, one bit each, so that a class is one table look-up and a mask.
namespace character {
inline constexpr std::uint8_t kUpper = 1;        // Lu, Lt
inline constexpr std::uint8_t kLower = 2;        // Ll
inline constexpr std::uint8_t kOtherLetter = 4;  // Lm, Lo
inline constexpr std::uint8_t kMark = 8;         // M
inline constexpr std::uint8_t kNumber = 16;      // N
inline constexpr std::uint8_t kWhiteSpace = 32;  // White_Space
inline constexpr std::uint8_t kNewer = 128;      // has another category in Unicode 14, which PCRE2 knows
inline constexpr std::uint8_t kLetter = kUpper | kLower | kOtherLetter;
}  // namespace character

// The bits above for one code point.
std::uint8_t character_bits(CodePoint code_point);
Category category(CodePoint code_point);

// As the reference's Rust code sees characters; its Unicode versions differ from that of its regular
// expressions.
bool is_punctuation(CodePoint code_point);        // P, and ASCII symbols too ("$+<=>^`|~")
bool is_numeric(CodePoint code_point);            // N
bool is_accent(CodePoint code_point);             // M
bool is_nonspacing_accent(CodePoint code_point);  // Mn
bool is_other(CodePoint code_point);              // Cc, Cf, Co
bool is_word_character(CodePoint code_point);     // \w of UTS 18: Alphabetic, M, Nd, Pc, Join_Control
inline bool is_white_space(CodePoint c) { return (character_bits(c) & character::kWhiteSpace) != 0; }

struct DecodedCharacter {
  CodePoint code_point = 0;
  std::uint32_t length = 0;  // bytes
};

// The character at text[position]; `text` must be valid UTF-8 and position the first byte of a character.
inline DecodedCharacter decode_character(std::string_view text, std::size_t position) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[position + i]));
  };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xe0) return {(first & 0x1fU) << 6 | (byte(1) & 0x3fU), 2};
  if (first < 0xf0) return {(first & 0xfU) << 12 | (byte(1) & 0x3fU) << 6 | (byte(2) & 0x3fU), 3};
  return {(first & 7U) << 18 | (byte(1) & 0x3fU) << 12 | (byte(2) & 0x3fU) << 6 | (byte(3) & 0x3fU), 4};
}

// Bytes of the character whose first byte is `first` (valid UTF-8).
inline std::uint32_t character_length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

// The character that ends before `end`, which must be above 0.
DecodedCharacter decode_character_before(std::string_view text, std::size_t end);

void append_utf8(std::string& output, CodePoint code_point);
bool is_valid_utf8(std::string_view text);

// Length of the longest prefix of `text` that is valid, up to `text.size()`; the rest begins with a bad or
// cut sequence.
std::size_t valid_utf8_prefix(std::string_view text);
// Bytes of the ill-formed sequence at the start of `text` that one U+FFFD replaces (Unicode 3.9, maximal
// subparts); `needs_more` is set when more bytes could still make it a character.
std::size_t ill_formed_length(std::string_view text, bool& needs_more);
// Each ill-formed sequence becomes U+FFFD; `ranges`, if given, are moved along.
std::string replace_ill_formed(std::string_view text, std::vector<TextRange>* ranges = nullptr);

void append_lowercase(std::string& output, CodePoint code_point);

enum class NormalForm { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view text, NormalForm form);

}  // namespace tessera::text
