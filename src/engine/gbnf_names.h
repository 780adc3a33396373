// Rules of one grammar under other names, so that it can stand beside another in one text.
#pragma once
#include <string>
#include <string_view>

namespace tessera::engine {

// The GBNF text with `prefix` before the name of every rule, where it is made and where it is used. The text
// must be one that parse_gbnf() reads.
std::string prefix_rule_names(std::string_view gbnf, std::string_view prefix);

}  // namespace tessera::engine
