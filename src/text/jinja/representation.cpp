#include "text/jinja/representation.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>

#include "base/error.h"
#include "text/jinja/characters.h"

namespace tessera::text::jinja {
namespace {

void require_shallow(int nesting) {
  if (nesting > kMaxDepth) {
    fail(ErrorKind::limit, "expected values nested at most {} deep, found deeper ones", kMaxDepth);
  }
}

std::string quoted_escape(char32_t c, char quote, bool ascii) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\\':
      return "\\\\";
    default:
      break;
  }
  if (c == static_cast<char32_t>(quote)) return std::string("\\") + quote;
  if (c >= 0x20 && c < 0x7F) return {};
  if (!ascii && c >= 0x7F && is_printable(c)) return {};
  const auto code = static_cast<std::uint32_t>(c);
  return c < 0x100     ? fmt::format("\\x{:02x}", code)
         : c < 0x10000 ? fmt::format("\\u{:04x}", code)
                       : fmt::format("\\U{:08x}", code);
}

}  // namespace

std::string float_representation(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string_view scientific(buffer, static_cast<std::size_t>(end - buffer));
  const std::size_t mark = scientific.find('e');
  int exponent = 0;
  const char* exponent_begin = scientific.data() + mark + (scientific[mark + 1] == '+' ? 2 : 1);
  std::from_chars(exponent_begin, end, exponent);
  if (exponent < -4 || exponent >= 16) {
    return fmt::format("{}e{}{:02d}", scientific.substr(0, mark), exponent < 0 ? '-' : '+',
                       std::abs(exponent));
  }
  const auto fixed_end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr;
  std::string fixed(buffer, fixed_end);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

void append_quoted(TextBuilder& out, const Text& text, bool ascii) {
  const std::string& bytes = text.bytes;
  const bool has_single = bytes.find('\'') != std::string::npos;
  const bool has_double = bytes.find('"') != std::string::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  out.append(std::string_view(&quote, 1));
  std::size_t written = 0;
  for (std::size_t position = 0; position < bytes.size();) {
    const std::size_t begin = position;
    const std::string escape = quoted_escape(next_code_point(bytes, position), quote, ascii);
    if (escape.empty()) continue;
    out.append(text, written, begin);
    out.append(escape, has_literal(text));
    written = position;
  }
  out.append(text, written, bytes.size());
  out.append(std::string_view(&quote, 1));
}

void append_dict_representation(Interpreter& interpreter, TextBuilder& out, const Dict& dict, int nesting) {
  out.append("{");
  bool first = true;
  for (const auto& [key, value] : dict.items()) {
    if (!std::exchange(first, false)) out.append(", ");
    append_representation(interpreter, out, key, nesting + 1);
    out.append(": ");
    append_representation(interpreter, out, value, nesting + 1);
  }
  out.append("}");
}

void append_representation(Interpreter& interpreter, TextBuilder& out, const Value& value, int nesting) {
  require_shallow(nesting);
  interpreter.budget().step();
  if (value.is_text()) {
    interpreter.budget().scan(value.text().bytes.size());
    if (value.text().markup) out.append("Markup(");
    append_quoted(out, value.text());
    if (value.text().markup) out.append(")");
  } else if (value.is_sequence()) {
    const bool is_list = value.is_list();
    const auto& items = value.sequence().items;
    out.append(is_list ? "[" : "(");
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out.append(", ");
      append_representation(interpreter, out, items[i], nesting + 1);
    }
    out.append(is_list ? "]" : items.size() == 1 ? ",)" : ")");
  } else if (value.is_dict()) {
    append_dict_representation(interpreter, out, value.dict(), nesting);
  } else if (value.is_undefined()) {
    out.append("Undefined");
  } else if (value.is_object()) {
    out.append(value.object().representation(interpreter, nesting).text());
  } else {
    append_string(interpreter, out, value);
  }
}

void append_string(Interpreter& interpreter, TextBuilder& out, const Value& value) {
  if (value.is_text()) {
    out.append(value.text());
  } else if (value.is_undefined()) {
    return;
  } else if (value.is_none()) {
    out.append("None");
  } else if (value.is_bool()) {
    out.append(value.as_bool() ? "True" : "False");
  } else if (value.is_int()) {
    out.append(fmt::format("{}", value.as_int()));
  } else if (value.is_float()) {
    out.append(float_representation(value.as_float()));
  } else {
    append_representation(interpreter, out, value);
  }
}

}  // namespace tessera::text::jinja
