#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/jinja/formatting.h"
#include "text/jinja/representation.h"

namespace tessera::text::jinja {
namespace {

// The format specification mini-language of Python's documentation.
struct Specification {
  Value fill = Value::constant(" ");
  char align = '\0';
  char sign = '-';
  bool alternate = false;
  std::int64_t width = 0;
  char grouping = '\0';
  std::int64_t precision = -1;
  char type = '\0';
};

bool is_align(char c) { return c == '<' || c == '>' || c == '=' || c == '^'; }

std::int64_t read_digits(const std::string& bytes, std::size_t& position) {
  std::int64_t number = -1;
  while (position < bytes.size() && bytes[position] >= '0' && bytes[position] <= '9') {
    number = std::max<std::int64_t>(number, 0) * 10 + (bytes[position++] - '0');
    if (number > (std::int64_t{1} << 40))
      fail(ErrorKind::limit, "format: expected a smaller width, found a huge one");
  }
  return number;
}

Specification parse_specification(const Text& text) {
  Specification specification;
  const std::string& bytes = text.bytes;
  const auto at = [&](std::size_t index) { return index < bytes.size() ? bytes[index] : '\0'; };
  std::size_t position = 0;
  std::size_t after_fill = 0;
  if (!bytes.empty()) next_code_point(bytes, after_fill);
  if (after_fill > 0 && is_align(at(after_fill))) {
    specification.fill = Value::constant(bytes.substr(0, after_fill));
    specification.align = at(after_fill);
    position = after_fill + 1;
  } else if (is_align(at(0))) {
    specification.align = at(0);
    position = 1;
  }
  if (at(position) == '+' || at(position) == '-' || at(position) == ' ') specification.sign = at(position++);
  if (at(position) == '#') {
    specification.alternate = true;
    ++position;
  }
  if (at(position) == '0') {
    if (specification.align == '\0') {
      specification.fill = Value::constant("0");
      specification.align = '=';
    }
    ++position;
  }
  specification.width = std::max<std::int64_t>(read_digits(bytes, position), 0);
  if (at(position) == ',' || at(position) == '_') specification.grouping = at(position++);
  if (at(position) == '.') {
    specification.precision = read_digits(bytes, ++position);
    if (specification.precision < 0 || specification.precision > 100'000) {
      fail(ErrorKind::bad_input, "format: expected a precision up to 100000 behind '.', found another");
    }
  }
  if (position < bytes.size()) specification.type = bytes[position++];
  if (position < bytes.size()) {
    fail(ErrorKind::bad_input, "format: expected a format specification, found '{}'", printable(bytes));
  }
  return specification;
}

void append_aligned(TextBuilder& out, const Specification& specification, const Text& sign, const Text& body,
                    char default_align) {
  const char align = specification.align == '\0' ? default_align : specification.align;
  const std::int64_t padding = std::max<std::int64_t>(specification.width - sign.length - body.length, 0);
  const std::int64_t before = align == '>' ? padding : align == '^' ? padding / 2 : 0;
  const Text& fill = specification.fill.text();
  out.append_repeated(fill, before);
  out.append(sign);
  if (align == '=') out.append_repeated(fill, padding);
  out.append(body);
  if (align != '=') out.append_repeated(fill, padding - before);
}

// Separators between the digits of the whole part, every `size` digits.
std::string grouped(const std::string& digits, char separator, std::size_t size) {
  const std::size_t whole = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  std::string result;
  for (std::size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % size == 0) result += separator;
    result += digits[i];
  }
  return result + digits.substr(whole);
}

std::string sign_text(const Specification& specification, bool negative) {
  return negative ? "-" : specification.sign == '-' ? "" : std::string(1, specification.sign);
}

// Zeros that fill a grouped number are grouped too: {:010,} of 1234 is 00,001,234.
std::string zero_filled_group(std::string digits, const Specification& specification, std::size_t sign_size,
                              std::size_t group) {
  const std::size_t fraction = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  const std::string tail = digits.substr(fraction);
  digits.resize(fraction);
  while (grouped(digits, ',', group).size() + tail.size() + sign_size <
         static_cast<std::size_t>(specification.width)) {
    digits.insert(digits.begin(), '0');
  }
  return digits + tail;
}

void append_number(TextBuilder& out, const Specification& specification, const std::string& sign,
                   std::string digits, std::size_t group) {
  if (specification.grouping != '\0') {
    if (specification.align == '=' && specification.fill.text().bytes == "0") {
      if (specification.width > 10'000)
        fail(ErrorKind::limit, "format: expected a smaller width, found a huge one");
      digits = zero_filled_group(std::move(digits), specification, sign.size(), group);
    }
    digits = grouped(digits, specification.grouping, group);
  }
  append_aligned(out, specification, Value::constant(sign).text(), Value::constant(digits).text(), '>');
}

[[noreturn]] void unknown_type(char type, const Value& value) {
  fail(ErrorKind::bad_input, "format: expected a format for '{}', found '{}'", type_name(value),
       printable(std::string_view(&type, 1)));
}

void append_float(TextBuilder& out, const Specification& specification, const Value& value) {
  const double number = value.as_float();
  const std::string sign = sign_text(specification, std::signbit(number) && !std::isnan(number));
  const int precision = specification.precision < 0 ? 6 : static_cast<int>(specification.precision);
  std::string digits;
  switch (specification.type) {
    case '\0':
      if (specification.precision < 0) {
        digits = float_representation(std::abs(number));
      } else {
        // As 'g', but with at least one digit behind the point, and e only from one digit earlier.
        digits = float_digits(number, 'g', precision, specification.alternate);
        const std::string scientific = float_digits(number, 'e', std::max(precision - 1, 0), false);
        const std::size_t mark = scientific.find('e');
        if (mark != std::string::npos && digits.find_first_of(".e") == std::string::npos &&
            std::stoi(scientific.substr(mark + 1)) == precision - 1) {
          digits = float_digits(number, 'g', precision - 1, specification.alternate);
          if (digits.find('e') == std::string::npos) digits = scientific;
        } else if (std::isfinite(number) && digits.find_first_of(".e") == std::string::npos) {
          digits += ".0";
        }
      }
      break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      digits = float_digits(number, specification.type, precision, specification.alternate);
      break;
    case 'n':
      digits = float_digits(number, 'g', precision, specification.alternate);
      break;
    case '%':
      digits = float_digits(number * 100, 'f', precision, specification.alternate) + "%";
      break;
    default:
      unknown_type(specification.type, value);
  }
  append_number(out, specification, sign, std::move(digits), 3);
}

void append_integer(TextBuilder& out, const Specification& specification, const Value& value) {
  const char type = specification.type;
  if (type != '\0' && std::string_view("eEfFgG%").find(type) != std::string_view::npos) {
    return append_float(out, specification, value);
  }
  if (specification.precision >= 0)
    fail(ErrorKind::bad_input, "format: expected no precision for an integer, found one");
  const std::int64_t number = value.as_int();
  std::string sign = sign_text(specification, number < 0);
  switch (type) {
    case '\0':
    case 'd':
    case 'n':
      return append_number(out, specification, sign, integer_digits(number, 10, false), 3);
    case 'b':
    case 'o':
    case 'x':
    case 'X': {
      if (specification.alternate) sign += std::string("0") + type;
      const int base = type == 'b' ? 2 : type == 'o' ? 8 : 16;
      return append_number(out, specification, sign, integer_digits(number, base, type == 'X'), 4);
    }
    case 'c': {
      if (number < 0 || number > 0x10FFFF || (number >= 0xD800 && number < 0xE000)) unknown_type(type, value);
      std::string character;
      append_code_point(character, static_cast<char32_t>(number));
      return append_aligned(out, specification, Value::constant("").text(), Value::constant(character).text(),
                            '<');
    }
    default:
      unknown_type(type, value);
  }
}

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interpreter, const Call& call) : interpreter_(interpreter), call_(call) {}

  // `nesting`: a specification may hold fields itself, those may not.
  void format(TextBuilder& out, const Text& text, int nesting) {
    const std::string& bytes = text.bytes;
    for (std::size_t position = 0; position < bytes.size();) {
      const std::size_t brace = std::min(bytes.find_first_of("{}", position), bytes.size());
      out.append(text, position, brace);
      position = brace;
      if (brace >= bytes.size()) return;
      if (brace + 1 < bytes.size() && bytes[brace + 1] == bytes[brace]) {
        out.append(text, brace, brace + 1);
        position = brace + 2;
      } else if (bytes[brace] == '}') {
        fail(ErrorKind::bad_input, "format: expected '{{' before '}}', found a single '}}'");
      } else {
        position = format_field(out, text, brace + 1, nesting);
      }
    }
  }

 private:
  // From behind the brace; gives the place behind the closing one.
  std::size_t format_field(TextBuilder& out, const Text& text, std::size_t begin, int nesting) {
    if (nesting > 1) fail(ErrorKind::bad_input, "format: expected fields nested at most twice, found more");
    const std::string& bytes = text.bytes;
    std::size_t end = begin;
    for (int open = 1; end < bytes.size(); ++end) {
      if (bytes[end] == '{') ++open;
      if (bytes[end] == '}' && --open == 0) break;
    }
    if (end >= bytes.size()) fail(ErrorKind::bad_input, "format: expected '}}', found the end of the format");
    const std::size_t name_end = std::min({bytes.find_first_of(":!", begin), end});
    std::size_t specification_begin = end;
    char conversion = '\0';
    if (name_end < end && bytes[name_end] == '!') {
      conversion = bytes[name_end + 1];
      if (name_end + 2 < end && bytes[name_end + 2] != ':') {
        fail(ErrorKind::bad_input, "format: expected ':' behind the conversion, found another character");
      }
      specification_begin = std::min(name_end + 3, end);
    } else if (name_end < end) {
      specification_begin = name_end + 1;
    }
    Value value = find_field(bytes.substr(begin, name_end - begin));
    if (conversion != '\0') value = convert(value, conversion);
    TextBuilder specification(&interpreter_.budget());
    const Value raw = slice_text(&interpreter_.budget(), text, specification_begin, end);
    format(specification, raw.text(), nesting + 1);
    out.append(format_value(interpreter_, value, specification.finish().text()).text());
    return end + 1;
  }

  Value convert(const Value& value, char conversion) {
    TextBuilder out(&interpreter_.budget());
    switch (conversion) {
      case 's':
        return interpreter_.to_text(value);
      case 'a':
        if (value.is_text()) {
          append_quoted(out, value.text(), true);
          return out.finish();
        }
        [[fallthrough]];
      case 'r':
        append_representation(interpreter_, out, value);
        return out.finish();
      default:
        fail(ErrorKind::bad_input, "format: expected the conversion s, r or a, found another");
    }
  }

  Value find_field(const std::string& path) {
    const std::size_t first_end = std::min(path.find_first_of(".["), path.size());
    Value value = find_first(path.substr(0, first_end));
    for (std::size_t position = first_end; position < path.size();) {
      if (path[position] == '.') {
        const std::size_t end = std::min(path.find_first_of(".[", position + 1), path.size());
        value = interpreter_.get_attribute(value,
                                           std::string_view(path).substr(position + 1, end - position - 1));
        position = end;
      } else {
        const std::size_t end = path.find(']', position);
        if (path[position] != '[' || end == std::string::npos) {
          fail(ErrorKind::bad_input, "format: expected '.name' or '[key]' in a field, found '{}'",
               printable(path));
        }
        const std::string key = path.substr(position + 1, end - position - 1);
        const bool is_index =
            !key.empty() && key.find_first_not_of("0123456789") == std::string::npos && key.size() < 18;
        value =
            interpreter_.get_item(value, is_index ? Value::integer(std::stoll(key)) : Value::constant(key));
        position = end + 1;
      }
    }
    return value;
  }

  Value find_first(const std::string& name) {
    const bool is_index = name.find_first_not_of("0123456789") == std::string::npos;
    if (!is_index) {
      const auto place = std::ranges::find(call_.keyword, name, &std::pair<std::string, Value>::first);
      if (place != call_.keyword.end()) return place->second;
      fail(ErrorKind::bad_input, "format: expected an argument named '{}', found none", printable(name));
    }
    if (name.empty() ? numbered_ : automatic_ > 0) {
      fail(ErrorKind::bad_input, "format: expected fields all numbered or all not, found both");
    }
    if (!name.empty()) numbered_ = true;
    const std::size_t index = name.empty()      ? automatic_++
                              : name.size() < 9 ? std::stoul(name)
                                                : ~std::size_t{0};
    if (index >= call_.positional.size()) {
      fail(ErrorKind::bad_input, "format: expected an argument for every field, found too few");
    }
    return call_.positional[index];
  }

  Interpreter& interpreter_;
  const Call& call_;
  std::size_t automatic_ = 0;
  bool numbered_ = false;
};

}  // namespace

Value format_value(Interpreter& interpreter, const Value& value, const Text& specification_text) {
  if (specification_text.bytes.empty()) return interpreter.to_text(value);
  TextBuilder out(&interpreter.budget());
  const bool formattable = value.is_text() || value.is_number();
  if (!formattable) wrong_type("format", "a text or number for a format specification", value);
  const Specification specification = parse_specification(specification_text);
  if (value.is_text()) {
    if ((specification.type != '\0' && specification.type != 's') || specification.align == '=' ||
        specification.sign != '-' || specification.grouping != '\0') {
      fail(ErrorKind::bad_input, "format: expected a format for a text, found '{}'",
           printable(specification_text.bytes));
    }
    const Text& text = value.text();
    const std::int64_t length =
        specification.precision >= 0 ? std::min(specification.precision, text.length) : text.length;
    const Value body = slice_text(&interpreter.budget(), text, 0, byte_offset(text, length));
    append_aligned(out, specification, Value::constant("").text(), body.text(), '<');
  } else if (value.is_float()) {
    append_float(out, specification, value);
  } else {
    append_integer(out, specification, value);
  }
  return out.finish();
}

Value brace_format(Interpreter& interpreter, const Text& format, const Call& call) {
  TextBuilder out(&interpreter.budget());
  BraceFormatter(interpreter, call).format(out, format, 0);
  return out.finish(format.markup);
}

}  // namespace tessera::text::jinja
