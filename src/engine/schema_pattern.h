// Regular expressions of JSON schemas as grammars.
#pragma once
#include <string>
#include <string_view>

namespace tessera::engine {

// A GBNF expression of what stands between the quotes of a JSON string whose value has a match of `pattern`
// (ECMA 262): characters, classes, \d \w \s and their opposites, groups, alternatives, repetitions; ^ and $
// at the ends of the whole. Some such strings are left out (those that would need a rare escape), none is
// added. Error unsupported: look-around, back-references, word borders, anchors elsewhere, with the place;
// bad_input: no regular expression; limit: nesting beyond 50.
std::string pattern_to_gbnf(std::string_view pattern);

}  // namespace tessera::engine
