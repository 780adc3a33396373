// Filters that give numbers.
#include <fmt/core.h>

#include <array>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/formatting.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/string_literal.h"
#include "text/jinja/text_operations.h"

namespace tessera::text::jinja {
namespace {

// What int() and float() read: surrounding whitespace gone, the digits of every script as ASCII.
std::string plain_number(Budget& budget, const Text& text) {
  const Value stripped = strip_text(budget, text, nullptr, Side::both);
  if (stripped.text().is_ascii()) return stripped.text().bytes;
  std::string plain;
  for (std::size_t position = 0; position < stripped.text().bytes.size();) {
    const char32_t c = next_code_point(stripped.text().bytes, position);
    const int digit = decimal_value(c);
    append_code_point(plain, digit >= 0 ? static_cast<char32_t>('0' + digit) : c);
  }
  return plain;
}

// Digits with single underscores between them, as Python's int() and float() take them; nullopt otherwise.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
      continue;
    }
    const bool between = i > 0 && i + 1 < text.size() &&
                         std::isalnum(static_cast<unsigned char>(text[i - 1])) != 0 &&
                         std::isalnum(static_cast<unsigned char>(text[i + 1])) != 0;
    if (!between) return std::nullopt;
  }
  return digits;
}

std::optional<std::int64_t> parse_integer(Budget& budget, const Text& text, std::int64_t base) {
  auto digits = without_underscores(plain_number(budget, text));
  if (!digits || digits->empty()) return std::nullopt;
  const bool negative = digits->front() == '-';
  if (negative || digits->front() == '+') digits->erase(0, 1);
  if (digits->size() > 2 && digits->front() == '0') {
    const char kind = static_cast<char>((*digits)[1] | 0x20);
    const int prefix_base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (prefix_base != 0 && (base == prefix_base || base == 0)) {
      digits->erase(0, 2);
      base = prefix_base;
    }
  }
  if (base == 0) {
    if (digits->size() > 1 && digits->front() == '0' && digits->find_first_not_of('0') != std::string::npos)
      return std::nullopt;
    base = 10;
  }
  if (base < 2 || base > 36 || digits->empty() || digits->front() == '-') return std::nullopt;
  if (negative) digits->insert(digits->begin(), '-');
  std::int64_t value = 0;
  const auto [stop, error] =
      std::from_chars(digits->data(), digits->data() + digits->size(), value, static_cast<int>(base));
  if (stop != digits->data() + digits->size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    fail(ErrorKind::limit, "int: expected an integer within 64 bits, found a larger one");
  }
  if (error != std::errc{}) return std::nullopt;
  return value;
}

std::optional<double> parse_float(Budget& budget, const Text& text) {
  auto digits = without_underscores(plain_number(budget, text));
  if (!digits || digits->empty()) return std::nullopt;
  std::string lower;
  for (const char c : *digits) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const bool negative = lower.front() == '-';
  if (negative || lower.front() == '+') lower.erase(0, 1);
  double value = 0;
  if (lower == "inf" || lower == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (lower == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    if (lower.empty() || lower.find_first_not_of("0123456789.e+-") != std::string::npos ||
        lower.front() == '-' || lower.front() == '+') {
      return std::nullopt;
    }
    const auto [stop, error] = std::from_chars(lower.data(), lower.data() + lower.size(), value);
    if (stop != lower.data() + lower.size() || error == std::errc::invalid_argument) return std::nullopt;
    if (error == std::errc::result_out_of_range) value = parse_double(lower);
  }
  return negative ? -value : value;
}

std::optional<std::int64_t> truncated(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  if (std::abs(value) >= 0x1p63)
    fail(ErrorKind::limit, "int: expected an integer within 64 bits, found a larger one");
  return static_cast<std::int64_t>(value);
}

Value to_int(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("int", call, {"default", "base"});
  const Value otherwise = arguments.given(0) ? arguments.at(0) : Value::integer(0);
  if (value.is_undefined()) fail(ErrorKind::bad_input, "{}", value.undefined_message());
  if (value.is_integral()) return Value::integer(value.as_int());
  std::optional<std::int64_t> result;
  if (value.is_float()) {
    // int(inf) raises OverflowError, which Jinja does not catch at first but does at the second try.
    result = truncated(value.as_float());
  } else if (value.is_text()) {
    result = parse_integer(interpreter.budget(), value.text(), arguments.integer(1, 10));
    if (!result) {
      if (const auto number = parse_float(interpreter.budget(), value.text())) result = truncated(*number);
    }
  }
  return result ? Value::integer(*result) : otherwise;
}

Value to_float(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("float", call, {"default"});
  if (value.is_undefined()) fail(ErrorKind::bad_input, "{}", value.undefined_message());
  if (value.is_number()) return Value::floating(value.as_float());
  if (value.is_text()) {
    if (const auto number = parse_float(interpreter.budget(), value.text())) return Value::floating(*number);
  }
  return arguments.given(0) ? arguments.at(0) : Value::floating(0.0);
}

Value absolute(Interpreter&, const Value& value, const Call& call) {
  const Arguments arguments("abs", call, {});
  if (!value.is_number()) wrong_type("abs", "a number", value);
  if (value.is_float()) return Value::floating(std::abs(value.as_float()));
  if (value.as_int() == std::numeric_limits<std::int64_t>::min()) {
    fail(ErrorKind::limit, "abs: expected an integer within 64 bits, found a larger one");
  }
  return Value::integer(std::abs(value.as_int()));
}

// round(int, -n): to the next multiple of 10**n, ties to even.
std::int64_t round_integer(std::int64_t value, std::int64_t digits) {
  if (digits >= 0) return value;
  if (digits < -18) return 0;
  std::int64_t unit = 1;
  for (std::int64_t i = 0; i < -digits; ++i) unit *= 10;
  std::int64_t quotient = value / unit;
  const std::int64_t rest = value % unit;
  const std::int64_t twice = (rest < 0 ? -rest : rest) * 2;  // below 2 * 10**18
  if (twice > unit || (twice == unit && quotient % 2 != 0)) quotient += value < 0 ? -1 : 1;
  std::int64_t result = 0;
  if (__builtin_mul_overflow(quotient, unit, &result)) {
    fail(ErrorKind::limit, "round: expected an integer within 64 bits, found a larger one");
  }
  return result;
}

Value round(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("round", call, {"precision", "method"});
  const std::int64_t precision = arguments.integer(0, 0);
  const std::string method = arguments.given(1) ? arguments.text(1).bytes : "common";
  if (!value.is_number()) wrong_type("round", "a number", value);
  if (method == "common") {
    return value.is_float() ? Value::floating(round_float(value.as_float(), precision))
                            : Value::integer(round_integer(value.as_int(), precision));
  }
  if (method != "ceil" && method != "floor") {
    fail(ErrorKind::bad_input, "round: expected the method common, ceil or floor, found '{}'",
         printable(method));
  }
  const Value scale = interpreter.binary(Operator::power, Value::integer(10), Value::integer(precision));
  const double scaled = interpreter.binary(Operator::multiply, value, scale).as_float();
  const double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
  const auto integer = truncated(whole);
  if (!integer) fail(ErrorKind::bad_input, "round: expected a finite number, found another");
  return interpreter.binary(Operator::divide, Value::integer(*integer), scale);
}

Value filesizeformat(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("filesizeformat", call, {"binary"});
  const bool binary = arguments.truth(interpreter, 0, false);
  double bytes = 0;
  if (value.is_number()) {
    bytes = value.as_float();
  } else {
    const auto parsed = parse_float(interpreter.budget(), require_text("filesizeformat", value));
    if (!parsed) wrong_type("filesizeformat", "a number", value);
    bytes = *parsed;
  }
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return interpreter.text("1 Byte");
  if (bytes < base) return interpreter.text(fmt::format("{} Bytes", truncated(bytes).value_or(0)));
  double unit = base;
  for (const char prefix : std::string_view("kMGTPEZY")) {
    unit *= base;
    if (bytes >= unit && prefix != 'Y') continue;
    const std::string letter =
        binary ? std::string(1, prefix == 'k' ? 'K' : prefix) + "i" : std::string(1, prefix);
    return interpreter.text(fixed_digits(base * bytes / unit, 1) + " " + letter + "B");
  }
  fail(ErrorKind::internal, "filesizeformat: expected one of eight prefixes");
}

constexpr auto kFilters = std::to_array<NamedFunction>({
    {"abs", absolute},
    {"filesizeformat", filesizeformat},
    {"float", to_float},
    {"int", to_int},
    {"round", round},
});

}  // namespace

std::span<const NamedFunction> number_filters() { return kFilters; }

}  // namespace tessera::text::jinja
