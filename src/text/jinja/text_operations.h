// Operations on texts that methods and filters share; every result keeps track of which bytes are the user's.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "text/jinja/characters.h"
#include "text/jinja/text_builder.h"

namespace tessera::text::jinja {

enum class Side { left, right, both };
// Without `characters`, strips whitespace.
Value strip_text(Budget& budget, const Text& text, const Text* characters, Side side);
// `limit` replacements at most; negative means all.
Value replace_text(Budget& budget, const Text& text, const Text& old_text, const Text& new_text,
                   std::int64_t limit);
// At every `separator`, or at runs of whitespace without one. `limit` splits at most, counted from the end
// with `from_right`.
std::vector<Value> split_text(Budget& budget, const Text& text, const Text* separator, std::int64_t limit,
                              bool from_right);
std::vector<Value> split_lines(Budget& budget, const Text& text, bool keep_ends);
Value map_case(Budget& budget, const Text& text, LetterCase letter_case);
Value capitalize_text(Budget& budget, const Text& text);
Value title_text(Budget& budget, const Text& text);
Value swap_case(Budget& budget, const Text& text);
// Pads to `width` code points with `fill`.
Value pad_text(Budget& budget, const Text& text, std::int64_t width, const Text& fill, Side side);
bool is_lower_text(const Text& text);
bool is_upper_text(const Text& text);

}  // namespace tessera::text::jinja
