// Cuts Jinja source into tokens, with the whitespace rules of trim_blocks and lstrip_blocks applied to the
// data between the tags. Rules: Jinja's own, as its documentation's chapter "Whitespace Control" describes
// them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::text::jinja {

enum class TokenType : std::uint8_t {
  data,
  block_begin,
  block_end,
  variable_begin,
  variable_end,
  name,
  string,
  integer,
  floating,
  punctuation,
  end,
};

struct Token {
  TokenType type;
  int line;
  std::string text;  // the name, the unescaped string, the data, or the operator's characters
  std::int64_t integer = 0;
  double floating = 0;
};

// Error bad_input "name:line: expected ..., found ...".
std::vector<Token> tokenize(std::string_view source, const std::string& name);

}  // namespace tessera::text::jinja
