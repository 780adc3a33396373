#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/jinja/representation.h"

namespace tessera::text::jinja {
namespace {

std::string json_escape(char32_t c, bool ensure_ascii) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\f':
      return "\\f";
    case '\b':
      return "\\b";
    default:
      break;
  }
  const auto code = static_cast<std::uint32_t>(c);
  if (c < 0x20 || (ensure_ascii && c > 0x7E && c < 0x10000)) {
    return fmt::format("\\u{:04x}", code);
  }
  if (ensure_ascii && c >= 0x10000) {
    return fmt::format("\\u{:04x}\\u{:04x}", 0xD800U + ((code - 0x10000U) >> 10U),
                       0xDC00U + ((code - 0x10000U) & 0x3FFU));
  }
  return {};
}

class JsonWriter {
 public:
  JsonWriter(Interpreter& interpreter, TextBuilder& out, const JsonStyle& style)
      : interpreter_(interpreter), out_(out), style_(style) {}

  void write(const Value& value) {
    interpreter_.budget().step();
    if (value.is_text()) {
      write_text(value.text());
    } else if (value.is_none()) {
      out_.append("null");
    } else if (value.is_bool()) {
      out_.append(value.as_bool() ? "true" : "false");
    } else if (value.is_int()) {
      out_.append(fmt::format("{}", value.as_int()));
    } else if (value.is_float()) {
      out_.append(float_text(value.as_float()));
    } else if (value.is_sequence()) {
      write_sequence(value.sequence());
    } else if (value.is_dict()) {
      write_dict(value.dict());
    } else {
      fail(ErrorKind::bad_input, "tojson: expected a value that JSON knows, found '{}'", type_name(value));
    }
  }

 private:
  static std::string float_text(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_representation(value);
  }

  void write_text(const Text& text) {
    const std::string& bytes = text.bytes;
    interpreter_.budget().scan(bytes.size());
    out_.append("\"");
    std::size_t written = 0;
    for (std::size_t position = 0; position < bytes.size();) {
      const std::size_t begin = position;
      const std::string escape = json_escape(next_code_point(bytes, position), style_.ensure_ascii);
      if (escape.empty()) continue;
      out_.append(text, written, begin);
      out_.append(escape, has_literal(text));
      written = position;
    }
    out_.append(text, written, bytes.size());
    out_.append("\"");
  }

  void new_line() {
    if (!style_.indented) return;
    out_.append("\n");
    for (int i = 0; i < level_; ++i) out_.append(style_.indent);
  }

  void write_sequence(const Sequence& sequence) {
    if (sequence.items.empty()) return out_.append("[]");
    out_.append("[");
    ++level_;
    bool first = true;
    for (const Value& item : sequence.items) {
      if (!std::exchange(first, false)) out_.append(style_.item_separator);
      new_line();
      write(item);
    }
    --level_;
    new_line();
    out_.append("]");
  }

  void write_key(const Value& key) {
    if (key.is_text()) return write_text(key.text());
    if (!key.is_none() && !key.is_number()) {
      fail(ErrorKind::bad_input, "tojson: expected keys that are text or numbers, found '{}'",
           type_name(key));
    }
    out_.append("\"");
    write(key);
    out_.append("\"");
  }

  void write_dict(const Dict& dict) {
    if (dict.items().empty()) return out_.append("{}");
    std::vector<const Dict::Item*> items;
    for (const Dict::Item& item : dict.items()) items.push_back(&item);
    if (style_.sort_keys) {
      std::ranges::stable_sort(
          items, [](const auto* left, const auto* right) { return less(left->first, right->first); });
    }
    out_.append("{");
    ++level_;
    bool first = true;
    for (const Dict::Item* item : items) {
      if (!std::exchange(first, false)) out_.append(style_.item_separator);
      new_line();
      write_key(item->first);
      out_.append(style_.key_separator);
      write(item->second);
    }
    --level_;
    new_line();
    out_.append("}");
  }

  Interpreter& interpreter_;
  TextBuilder& out_;
  const JsonStyle& style_;
  int level_ = 0;
};

}  // namespace

void append_json(Interpreter& interpreter, TextBuilder& out, const Value& value, const JsonStyle& style) {
  JsonWriter(interpreter, out, style).write(value);
}

}  // namespace tessera::text::jinja
