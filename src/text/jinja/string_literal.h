// Literals in template source: line breaks, the escapes of Python string literals, floating-point numbers.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace tessera::text::jinja {

// \r\n and \r become \n.
std::string normalize_newlines(std::string_view text);
// The text between the quotes, unescaped as Python would; nullopt with a description in `problem`.
std::optional<std::string> unescape_string_literal(std::string_view body, std::string& problem);
// Decimal digits as the nearest double; too large is infinity, too small zero.
double parse_double(const std::string& digits);

}  // namespace tessera::text::jinja
