#include "text/jinja/formatting.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/jinja/html.h"
#include "text/jinja/representation.h"

namespace tessera::text::jinja {
namespace {

// Wider fields than this are refused before their padding is built.
constexpr std::int64_t kMaxPrecision = 100'000;

struct Conversion {
  bool left = false, plus = false, space = false, zero = false, alternate = false;
  std::int64_t width = 0;
  std::int64_t precision = -1;
  char type = 's';
};

// A sign, a prefix such as 0x, the digits; padded to a width.
void append_number(TextBuilder& out, const Conversion& conversion, const std::string& sign,
                   const std::string& digits, bool zero_allowed = true) {
  const auto size = static_cast<std::int64_t>(sign.size() + digits.size());
  const std::int64_t padding = std::max<std::int64_t>(conversion.width - size, 0);
  static const Text kZero("0", {}, false, MemoryCharge{});
  if (conversion.zero && !conversion.left && zero_allowed) {
    out.append(sign);
    out.append_repeated(kZero, padding);
    out.append(digits);
    return;
  }
  if (!conversion.left) out.append_spaces(padding);
  out.append(sign);
  out.append(digits);
  if (conversion.left) out.append_spaces(padding);
}

class PrintfFormatter {
 public:
  PrintfFormatter(Interpreter& interpreter, const Text& format, const Value& arguments)
      : interpreter_(interpreter), format_(format), arguments_(arguments), out_(&interpreter.budget()) {}

  Value run() {
    const std::string& bytes = format_.bytes;
    while (position_ < bytes.size()) {
      const std::size_t mark = std::min(bytes.find('%', position_), bytes.size());
      out_.append(format_, position_, mark);
      position_ = mark;
      if (mark < bytes.size()) convert();
    }
    if (arguments_.is_tuple() ? next_ < arguments_.sequence().items.size()
                              : next_ == 0 && !arguments_.is_dict() && !arguments_.is_list() &&
                                    !arguments_.is_undefined() && !arguments_.is_object()) {
      fail(ErrorKind::bad_input, "%: expected a conversion for every argument, found too many arguments");
    }
    return out_.finish(format_.markup);
  }

 private:
  char peek() const {
    if (position_ >= format_.bytes.size())
      fail(ErrorKind::bad_input, "%: expected a complete conversion, found the end");
    return format_.bytes[position_];
  }

  Value next_argument() {
    if (arguments_.is_tuple()) {
      if (next_ >= arguments_.sequence().items.size()) {
        fail(ErrorKind::bad_input, "%: expected an argument for every conversion, found too few");
      }
      return arguments_.sequence().items[next_++];
    }
    if (next_++ > 0)
      fail(ErrorKind::bad_input, "%: expected an argument for every conversion, found too few");
    return arguments_;
  }

  std::int64_t read_number() {
    if (peek() == '*') {
      ++position_;
      return require_integer("%", next_argument());
    }
    std::int64_t number = 0;
    while (peek() >= '0' && peek() <= '9') {
      number = number * 10 + (peek() - '0');
      if (number > (std::int64_t{1} << 40))
        fail(ErrorKind::limit, "%: expected a smaller width, found a huge one");
      ++position_;
    }
    return number;
  }

  void convert() {
    ++position_;
    std::optional<Value> named;
    if (peek() == '(') named = read_named();
    Conversion conversion;
    for (bool flags = true; flags;) {
      switch (peek()) {
        case '-':
          conversion.left = true;
          break;
        case '+':
          conversion.plus = true;
          break;
        case ' ':
          conversion.space = true;
          break;
        case '0':
          conversion.zero = true;
          break;
        case '#':
          conversion.alternate = true;
          break;
        default:
          flags = false;
          break;
      }
      if (flags) ++position_;
    }
    conversion.width = read_number();
    if (conversion.width < 0) {
      conversion.left = true;
      conversion.width = conversion.width < -kHuge ? kHuge : -conversion.width;
    }
    if (peek() == '.') {
      ++position_;
      conversion.precision = std::max<std::int64_t>(read_number(), 0);
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++position_;
    conversion.type = peek();
    ++position_;
    if (conversion.type == '%') return out_.append("%");
    append(conversion, named ? *named : next_argument());
  }

  Value read_named() {
    const std::size_t begin = ++position_;
    int open = 1;
    while (open > 0) {
      if (peek() == '(') ++open;
      if (peek() == ')') --open;
      ++position_;
    }
    if (!arguments_.is_dict()) wrong_type("%", "a dict for a named conversion", arguments_);
    const Value* value =
        arguments_.dict().find(std::string_view(format_.bytes).substr(begin, position_ - 1 - begin));
    if (value == nullptr)
      fail(ErrorKind::bad_input, "%: expected a key for every named conversion, found none");
    next_ = 1;
    return *value;
  }

  void append(const Conversion& conversion, const Value& value) {
    switch (conversion.type) {
      case 's':
      case 'r':
      case 'a':
        return append_converted_text(conversion, value);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return append_integer(conversion, value);
      case 'c':
        return append_character(conversion, value);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return append_float(conversion, value);
      default:
        fail(ErrorKind::bad_input, "%: expected a known conversion, found '{}'",
             printable(std::string_view(&conversion.type, 1)));
    }
  }

  void append_padded(const Conversion& conversion, const Text& text) {
    const std::int64_t length =
        conversion.precision >= 0 ? std::min(conversion.precision, text.length) : text.length;
    const std::int64_t padding = conversion.width - length;
    if (!conversion.left) out_.append_spaces(padding);
    out_.append(text, 0, byte_offset(text, length));
    if (conversion.left) out_.append_spaces(padding);
  }

  void append_converted_text(const Conversion& conversion, const Value& value) {
    TextBuilder text(&interpreter_.budget());
    if (conversion.type == 's') {
      if (format_.markup && value.is_text() && !value.text().markup) {
        append_escaped(text, value.text());
      } else {
        interpreter_.append_text(text, value);
      }
    } else if (conversion.type == 'a' && value.is_text()) {
      append_quoted(text, value.text(), true);
    } else {
      append_representation(interpreter_, text, value);
    }
    append_padded(conversion, text.finish().text());
  }

  static std::string sign_of(const Conversion& conversion, bool negative) {
    return negative ? "-" : conversion.plus ? "+" : conversion.space ? " " : "";
  }

  void append_integer(const Conversion& conversion, const Value& value) {
    std::int64_t number = 0;
    const bool decimal = conversion.type == 'd' || conversion.type == 'i' || conversion.type == 'u';
    if (value.is_float() && decimal) {
      if (!(std::abs(value.as_float()) < 0x1p63)) wrong_type("%d", "a number within 64 bits", value);
      number = static_cast<std::int64_t>(value.as_float());
    } else {
      number = require_integer("%d", value);
    }
    const int base = decimal ? 10 : conversion.type == 'o' ? 8 : 16;
    std::string sign = sign_of(conversion, number < 0);
    if (conversion.alternate && !decimal)
      sign += conversion.type == 'o' ? "0o" : conversion.type == 'x' ? "0x" : "0X";
    std::string digits = integer_digits(number, base, conversion.type == 'X');
    if (conversion.precision > kMaxPrecision)
      fail(ErrorKind::limit, "%: expected a smaller precision, found a huge one");
    if (static_cast<std::int64_t>(digits.size()) < conversion.precision) {
      digits.insert(0, static_cast<std::size_t>(conversion.precision) - digits.size(), '0');
    }
    append_number(out_, conversion, sign, digits);
  }

  void append_character(const Conversion& conversion, const Value& value) {
    if (value.is_text()) {
      if (value.text().length != 1) wrong_type("%c", "one character", value);
      return append_padded(conversion, value.text());
    }
    const std::int64_t code = require_integer("%c", value);
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
      wrong_type("%c", "a character's code", value);
    std::string character;
    append_code_point(character, static_cast<char32_t>(code));
    append_padded(conversion, Value::constant(character).text());
  }

  void append_float(const Conversion& conversion, const Value& value) {
    if (!value.is_number()) wrong_type("%f", "a number", value);
    const double number = value.as_float();
    const std::int64_t precision = conversion.precision < 0 ? 6 : conversion.precision;
    if (precision > kMaxPrecision)
      fail(ErrorKind::limit, "%: expected a smaller precision, found a huge one");
    const std::string digits =
        float_digits(number, conversion.type, static_cast<int>(precision), conversion.alternate);
    append_number(out_, conversion, sign_of(conversion, std::signbit(number) && !std::isnan(number)), digits,
                  std::isfinite(number));
  }

  static constexpr std::int64_t kHuge = std::int64_t{1} << 40;
  Interpreter& interpreter_;
  const Text& format_;
  const Value& arguments_;
  TextBuilder out_;
  std::size_t position_ = 0;
  std::size_t next_ = 0;
};

}  // namespace

Value printf_format(Interpreter& interpreter, const Text& format, const Value& arguments) {
  return PrintfFormatter(interpreter, format, arguments).run();
}

}  // namespace tessera::text::jinja
