#include "cli/notes.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

#include "cli/terminal.h"

namespace tessera::cli {

void show_note(const std::string& text) {
  const bool color = use_color(STDERR_FILENO);
  fmt::print(stderr, "{}{}{}\n", color ? "\x1b[2m" : "", terminal_safe(text), color ? "\x1b[0m" : "");
}

void show_error(const std::string& text) {
  const bool color = use_color(STDERR_FILENO);
  fmt::print(stderr, "{}{}{}\n", color ? "\x1b[31m" : "", terminal_safe(text), color ? "\x1b[0m" : "");
}

std::string excerpt(const std::string& text) {
  constexpr std::size_t kLongest = 60;
  std::string line = text.substr(0, text.find('\n'));
  if (line.size() > kLongest) {
    line.resize(kLongest);
    while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xC0U) == 0x80U) line.pop_back();
    if (!line.empty() && static_cast<unsigned char>(line.back()) >= 0xC0U) line.pop_back();
  }
  return line.size() < text.size() ? line + "..." : line;
}

}  // namespace tessera::cli
