// Tables of what utf8proc does not know about Python's character classes and full case mappings; sorted by
// code point.
#pragma once
#include <span>

namespace tessera::text::jinja {

struct CharacterRange {
  char32_t first;
  char32_t last;
};
struct FullMapping {
  char32_t from;
  const char* to;  // UTF-8
};

std::span<const CharacterRange> digits_beyond_nd();   // isdigit, but not of category Nd
std::span<const CharacterRange> numerics_beyond_n();  // isnumeric, but of no category N*
std::span<const CharacterRange> lowercase_beyond_ll();
std::span<const CharacterRange> uppercase_beyond_lu();
std::span<const FullMapping> full_upper_mappings();
std::span<const FullMapping> full_title_mappings();
std::span<const FullMapping> full_lower_mappings();

}  // namespace tessera::text::jinja
