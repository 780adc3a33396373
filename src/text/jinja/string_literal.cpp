#include "text/jinja/string_literal.h"

#include <fmt/core.h>

#include <charconv>
#include <limits>

#include "text/jinja/text_builder.h"

namespace tessera::text::jinja {
namespace {

// Up to `limit` digits in `base` at `position`, moving behind them; nullopt when there are fewer than
// `least`.
std::optional<char32_t> read_digits(std::string_view body, std::size_t& position, std::size_t least,
                                    std::size_t limit, int base) {
  std::uint32_t value = 0;
  const char* begin = body.data() + position;
  const char* end = begin + std::min(limit, body.size() - position);
  const auto [stop, error] = std::from_chars(begin, end, value, base);
  const auto count = static_cast<std::size_t>(stop - begin);
  if (error != std::errc{} || count < least) return std::nullopt;
  position += count;
  return value;
}

// Python spells a non-ASCII character as an escape before it unescapes, so a backslash before one swallows
// that escape's backslash and leaves its letters.
std::string spelled_escape(char32_t c) {
  if (c < 0x100) return fmt::format("\\x{:02x}", static_cast<std::uint32_t>(c));
  if (c < 0x10000) return fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
  return fmt::format("\\U{:08x}", static_cast<std::uint32_t>(c));
}

std::optional<std::string> simple_escape(char c) {
  switch (c) {
    case '\n':
      return "";
    case '\\':
      return "\\";
    case '\'':
      return "'";
    case '"':
      return "\"";
    case 'a':
      return "\a";
    case 'b':
      return "\b";
    case 'f':
      return "\f";
    case 'n':
      return "\n";
    case 'r':
      return "\r";
    case 't':
      return "\t";
    case 'v':
      return "\v";
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string normalize_newlines(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      result += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::optional<std::string> unescape_string_literal(std::string_view body, std::string& problem) {
  std::string out;
  for (std::size_t i = 0; i < body.size();) {
    if (body[i] != '\\') {
      out += body[i++];
      continue;
    }
    const char kind = i + 1 < body.size() ? body[i + 1] : '\0';
    if (const auto simple = simple_escape(kind)) {
      out += *simple;
      i += 2;
    } else if (kind == 'x' || kind == 'u' || kind == 'U' || (kind >= '0' && kind <= '7')) {
      const std::size_t width = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 3;
      const bool octal = width == 3;
      std::size_t position = octal ? i + 1 : i + 2;
      const auto code = read_digits(body, position, octal ? 1 : width, width, octal ? 8 : 16);
      if (!code || *code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000)) {
        problem =
            fmt::format("expected a character's code after '\\{}', found '{}'", kind, body.substr(i, 10));
        return std::nullopt;
      }
      append_code_point(out, *code);
      i = position;
    } else if (kind == 'N') {
      problem =
          "expected a character or a numeric escape, found '\\N' (names of characters are not known here)";
      return std::nullopt;
    } else if (static_cast<unsigned char>(kind) >= 0x80) {
      std::size_t position = i + 1;
      out += spelled_escape(next_code_point(body, position));
      i = position;
    } else {
      out += '\\';
      ++i;
    }
  }
  return out;
}

double parse_double(const std::string& digits) {
  double value = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc::result_out_of_range) {
    // from_chars leaves the value alone: an exponent below zero means it vanished.
    const bool vanished = digits.find("e-") != std::string::npos || digits.find("E-") != std::string::npos;
    return vanished ? 0.0 : std::numeric_limits<double>::infinity();
  }
  return value;
}

}  // namespace tessera::text::jinja
