#include "text/jinja/characters.h"

#include <utf8proc.h>

#include <algorithm>

#include "text/jinja/character_tables.h"
#include "text/jinja/text_builder.h"

namespace tessera::text::jinja {
namespace {

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool is_in(std::span<const CharacterRange> ranges, char32_t c) {
  const auto after = std::ranges::lower_bound(ranges, c, {}, &CharacterRange::last);
  return after != ranges.end() && after->first <= c;
}

const FullMapping* find_mapping(std::span<const FullMapping> mappings, char32_t c) {
  const auto place = std::ranges::lower_bound(mappings, c, {}, &FullMapping::from);
  return place != mappings.end() && place->from == c ? &*place : nullptr;
}

}  // namespace

bool is_space(char32_t c) {
  if (c <= 0x20) return c == 0x20 || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_alphabetic(char32_t c) {
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
// Decimal digits come in runs of ten, zero first; some runs follow one another.
int decimal_value(char32_t c) {
  if (!is_decimal(c)) return -1;
  char32_t zero = c;
  while (zero > 0 && is_decimal(zero - 1)) --zero;
  return static_cast<int>((c - zero) % 10);
}

bool is_digit(char32_t c) { return is_decimal(c) || is_in(digits_beyond_nd(), c); }

bool is_numeric(char32_t c) {
  const auto kind = category(c);
  return (kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO) || is_in(numerics_beyond_n(), c);
}

bool is_alphanumeric(char32_t c) { return is_alphabetic(c) || is_numeric(c); }
bool is_lowercase(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL || is_in(lowercase_beyond_ll(), c);
}
bool is_uppercase(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU || is_in(uppercase_beyond_lu(), c);
}
bool is_titlecase(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LT; }
bool is_cased(char32_t c) { return is_lowercase(c) || is_uppercase(c) || is_titlecase(c); }

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_identifier_start(char32_t c) {
  return c == '_' || is_alphabetic(c) || category(c) == UTF8PROC_CATEGORY_NL;
}

bool is_identifier_part(char32_t c) {
  const auto kind = category(c);
  return c == '_' || c == 0xB7 || is_alphanumeric(c) || kind == UTF8PROC_CATEGORY_MN ||
         kind == UTF8PROC_CATEGORY_MC || kind == UTF8PROC_CATEGORY_PC;
}

void append_mapped(std::string& out, char32_t c, LetterCase letter_case) {
  const auto code_point = static_cast<utf8proc_int32_t>(c);
  const auto append_full = [&](std::span<const FullMapping> mappings, utf8proc_int32_t simple) {
    const FullMapping* mapping = find_mapping(mappings, c);
    if (mapping != nullptr) {
      out += mapping->to;
    } else {
      append_code_point(out, static_cast<char32_t>(simple));
    }
  };
  switch (letter_case) {
    case LetterCase::upper:
      return append_full(full_upper_mappings(), utf8proc_toupper(code_point));
    case LetterCase::title:
      return append_full(full_title_mappings(), utf8proc_totitle(code_point));
    case LetterCase::lower:
      return append_full(full_lower_mappings(), utf8proc_tolower(code_point));
    case LetterCase::folded:
      break;
  }
  utf8proc_int32_t folded[8];
  int boundary = 0;
  const auto count = utf8proc_decompose_char(code_point, folded, 8, UTF8PROC_CASEFOLD, &boundary);
  for (utf8proc_ssize_t i = 0; i < count; ++i) append_code_point(out, static_cast<char32_t>(folded[i]));
}

}  // namespace tessera::text::jinja
