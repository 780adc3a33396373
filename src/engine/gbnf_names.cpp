#include "engine/gbnf_names.h"

#include <algorithm>

namespace tessera::engine {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// Where the literal, class, count or comment that begins at `begin` ends; `begin` when none does.
std::size_t end_of_other(std::string_view gbnf, std::size_t begin) {
  const char open = gbnf[begin];
  const char close = open == '"' ? '"' : open == '[' ? ']' : open == '{' ? '}' : open == '#' ? '\n' : '\0';
  if (close == '\0') return begin;
  std::size_t at = begin + 1;
  for (; at < gbnf.size() && gbnf[at] != close; ++at) {
    if (gbnf[at] == '\\' && open != '#') ++at;
  }
  return std::min(at + 1, gbnf.size());
}

}  // namespace

std::string prefix_rule_names(std::string_view gbnf, std::string_view prefix) {
  std::string result;
  for (std::size_t at = 0; at < gbnf.size();) {
    std::size_t end = end_of_other(gbnf, at);
    if (end == at) {
      while (end < gbnf.size() && is_name_character(gbnf[end])) ++end;
      if (end > at) result += prefix;
      end = std::max(end, at + 1);
    }
    result += gbnf.substr(at, end - at);
    at = end;
  }
  return result;
}

}  // namespace tessera::engine
