// Filters that turn one text into another.
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/formatting.h"
#include "text/jinja/html.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/representation.h"
#include "text/jinja/text_operations.h"

namespace tessera::text::jinja {
namespace {

Value upper(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("upper", call, {});
  return map_case(interpreter.budget(), interpreter.to_text(value).text(), LetterCase::upper);
}

Value lower(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("lower", call, {});
  return map_case(interpreter.budget(), interpreter.to_text(value).text(), LetterCase::lower);
}

Value capitalize(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("capitalize", call, {});
  return capitalize_text(interpreter.budget(), interpreter.to_text(value).text());
}

// Jinja's own title(): a word begins behind whitespace, - ( { [ or <, and not, as in Python, behind any
// non-letter.
Value title(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("title", call, {});
  const Value whole = interpreter.to_text(value);
  const Text& text = whole.text();
  TextBuilder out(&interpreter.budget());
  const auto starts_word = [](char32_t c) {
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
  };
  for (std::size_t position = 0; position < text.bytes.size();) {
    const std::size_t begin = position;
    if (starts_word(next_code_point(text.bytes, position))) {
      out.append(text, begin, position);
      continue;
    }
    const std::size_t behind_first = position;
    while (position < text.bytes.size()) {
      std::size_t next = position;
      if (starts_word(next_code_point(text.bytes, next))) break;
      position = next;
    }
    Budget& budget = interpreter.budget();
    budget.step();
    out.append(
        map_case(budget, slice_text(&budget, text, begin, behind_first).text(), LetterCase::upper).text());
    out.append(
        map_case(budget, slice_text(&budget, text, behind_first, position).text(), LetterCase::lower).text());
  }
  return out.finish();
}

Value trim(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("trim", call, {"chars"});
  const Value text = interpreter.to_text(value);
  const Text* characters = arguments.find_some(0) != nullptr ? &arguments.text(0) : nullptr;
  return strip_text(interpreter.budget(), text.text(), characters, Side::both);
}

Value replace(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("replace", call, {"old", "new", "count"}, 2);
  const Value text = interpreter.to_text(value);
  const Value old_text = interpreter.to_text(arguments.at(0));
  const Value new_text = interpreter.to_text(arguments.at(1));
  const Value* count = arguments.find_some(2);
  Value result = replace_text(interpreter.budget(), text.text(), old_text.text(), new_text.text(),
                              count != nullptr ? require_integer("replace", *count) : -1);
  TextBuilder plain(&interpreter.budget());  // str(s): no longer markup
  plain.append(result.text());
  return plain.finish();
}

Value string(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("string", call, {});
  return interpreter.to_text(value);
}

Value with_markup(Interpreter& interpreter, const Text& text, bool markup) {
  TextBuilder out(&interpreter.budget());
  out.append(text);
  return out.finish(markup);
}

Value safe(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("safe", call, {});
  return with_markup(interpreter, interpreter.to_text(value).text(), true);
}

Value escape_always(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("forceescape", call, {});
  TextBuilder out(&interpreter.budget());
  append_escaped(out, interpreter.to_text(value).text());
  return out.finish(true);
}

Value escape(Interpreter& interpreter, const Value& value, const Call& call) {
  if (value.is_text() && value.text().markup) return value;
  return escape_always(interpreter, value, call);
}

Value center(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("center", call, {"width"});
  const Value space = Value::constant(" ");
  return pad_text(interpreter.budget(), interpreter.to_text(value).text(), arguments.integer(0, 80),
                  space.text(), Side::both);
}

Value format(Interpreter& interpreter, const Value& value, const Call& call) {
  const Value text = interpreter.to_text(value);
  if (!call.positional.empty() && !call.keyword.empty()) {
    fail(ErrorKind::bad_input, "format: expected positional or keyword arguments, found both");
  }
  if (call.keyword.empty()) {
    return printf_format(interpreter, text.text(), Value::tuple(call.positional, &interpreter.budget()));
  }
  auto dict = std::make_shared<Dict>(&interpreter.budget());
  for (const auto& [name, argument] : call.keyword) dict->set(interpreter.text(name), argument);
  return printf_format(interpreter, text.text(), Value(DictPtr(std::move(dict))));
}

Value wordcount(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("wordcount", call, {});
  const Value text = interpreter.to_text(value);
  const std::string& bytes = text.text().bytes;
  interpreter.budget().scan(bytes.size());
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t position = 0; position < bytes.size();) {
    const char32_t c = next_code_point(bytes, position);
    const bool is_word = c == '_' || is_alphanumeric(c);
    if (is_word && !inside) ++words;
    inside = is_word;
  }
  return Value::integer(words);
}

void append_url_quoted(Budget& budget, TextBuilder& out, const Text& text, bool for_query) {
  budget.step(text.bytes.size());
  static constexpr std::string_view kSafe =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~";
  const bool literal = has_literal(text);
  for (const char c : text.bytes) {
    if (kSafe.find(c) != std::string_view::npos || (c == '/' && !for_query)) {
      out.append(std::string_view(&c, 1), literal);
    } else if (c == ' ' && for_query) {
      out.append("+", literal);
    } else {
      out.append(fmt::format("%{:02X}", static_cast<unsigned char>(c)), literal);
    }
  }
}

Value urlencode(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("urlencode", call, {});
  TextBuilder out(&interpreter.budget());
  const IteratorPtr plain = value.is_text() ? nullptr : interpreter.try_iterate(value);
  if (plain == nullptr) {
    append_url_quoted(interpreter.budget(), out, interpreter.to_text(value).text(), false);
    return out.finish();
  }
  const auto append_pair = [&](const Value& key, const Value& item) {
    if (out.size() > 0) out.append("&");
    append_url_quoted(interpreter.budget(), out, interpreter.to_text(key).text(), true);
    out.append("=");
    append_url_quoted(interpreter.budget(), out, interpreter.to_text(item).text(), true);
  };
  if (value.is_dict()) {
    for (const auto& [key, item] : value.dict().items()) append_pair(key, item);
    return out.finish();
  }
  while (auto pair = plain->next(interpreter)) {
    const std::vector<Value> parts = interpreter.to_vector(*pair);
    if (parts.size() != 2)
      fail(ErrorKind::bad_input, "urlencode: expected pairs, found {} values", parts.size());
    append_pair(parts[0], parts[1]);
  }
  return out.finish();
}

Value tojson(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("tojson", call, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = arguments.truth(interpreter, 0, false);
  style.sort_keys = arguments.truth(interpreter, 3, false);
  if (const Value* indent = arguments.find_some(1)) {
    style.indented = true;
    style.item_separator.resize(1);  // "," alone
    if (indent->is_text()) {
      style.indent = indent->text().bytes;
    } else {
      const std::int64_t width = require_integer("tojson", *indent);
      if (width > 1000) fail(ErrorKind::limit, "tojson: expected an indent of at most 1000, found {}", width);
      style.indent.assign(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
    }
  }
  if (const Value* separators = arguments.find_some(2)) {
    const std::vector<Value> pair = interpreter.to_vector(*separators);
    if (pair.size() != 2)
      fail(ErrorKind::bad_input, "tojson: expected two separators, found {}", pair.size());
    style.item_separator = require_text("tojson", pair[0]).bytes;
    style.key_separator = require_text("tojson", pair[1]).bytes;
  }
  TextBuilder out(&interpreter.budget());
  append_json(interpreter, out, value, style);
  return out.finish();
}

Value xmlattr(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("xmlattr", call, {"autospace"});
  if (!value.is_dict()) wrong_type("xmlattr", "a dict", value);
  TextBuilder out(&interpreter.budget());
  bool first = true;
  for (const auto& [key, item] : value.dict().items()) {
    if (item.is_none() || item.is_undefined()) continue;
    const Text& name = require_text("xmlattr", key);
    if (name.bytes.find_first_of(" \t\n\r\f\v/>=") != std::string::npos) {
      fail(ErrorKind::bad_input, "xmlattr: expected the name of an attribute, found '{}'",
           printable(name.bytes));
    }
    if (!std::exchange(first, false) || arguments.truth(interpreter, 0, true)) out.append(" ");
    append_escaped(out, name);
    out.append("=\"");
    out.append(escape(interpreter, item, {}).text());
    out.append("\"");
  }
  return out.finish();
}

constexpr auto kFilters = std::to_array<NamedFunction>({
    {"capitalize", capitalize},
    {"center", center},
    {"e", escape},
    {"escape", escape},
    {"forceescape", escape_always},
    {"format", format},
    {"lower", lower},
    {"replace", replace},
    {"safe", safe},
    {"string", string},
    {"title", title},
    {"tojson", tojson},
    {"trim", trim},
    {"upper", upper},
    {"urlencode", urlencode},
    {"wordcount", wordcount},
    {"xmlattr", xmlattr},
});

}  // namespace

std::span<const NamedFunction> text_filters() { return kFilters; }

}  // namespace tessera::text::jinja
