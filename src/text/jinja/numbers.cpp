#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/formatting.h"
#include "text/jinja/string_literal.h"

namespace tessera::text::jinja {
namespace {

// Longest exact decimal expansion of a double: 309 digits before the point and 1074 behind it.
constexpr std::size_t kLongestDouble = 1400;

// Removes the zeros that end a fraction: 1.500e+05 becomes 1.5e+05.
std::string without_trailing_zeros(std::string digits) {
  const std::size_t exponent = std::min(digits.find('e'), digits.size());
  if (digits.find('.') >= exponent) return digits;
  std::size_t keep = exponent;
  while (digits[keep - 1] == '0') --keep;
  if (digits[keep - 1] == '.') --keep;
  return digits.erase(keep, exponent - keep);
}

std::string scientific_digits(double value, int precision) {
  char buffer[kLongestDouble];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific,
                                 std::min(precision, 1100))
                       .ptr;
  std::string digits(buffer, end);
  if (precision > 1100) digits.insert(digits.find('e'), static_cast<std::size_t>(precision - 1100), '0');
  return digits;
}

std::string general_digits(double value, int precision, bool alternate) {
  precision = std::max(precision, 1);
  const std::string scientific = scientific_digits(value, precision - 1);
  int exponent = 0;
  const char* begin = scientific.data() + scientific.find('e') + 1;
  std::from_chars(begin + (*begin == '+' ? 1 : 0), scientific.data() + scientific.size(), exponent);
  const bool use_scientific = exponent < -4 || exponent >= precision;
  std::string digits = use_scientific ? scientific : fixed_digits(value, precision - 1 - exponent);
  return alternate ? digits : without_trailing_zeros(std::move(digits));
}

}  // namespace

std::string fixed_digits(double value, int precision) {
  char buffer[kLongestDouble + 1100];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed,
                                 std::min(precision, 1100))
                       .ptr;
  std::string digits(buffer, end);
  if (precision > 1100) digits.append(static_cast<std::size_t>(precision - 1100), '0');
  return digits;
}

std::string float_digits(double value, char type, int precision, bool alternate) {
  const bool upper = type == 'E' || type == 'F' || type == 'G';
  std::string digits;
  if (std::isnan(value)) {
    digits = "nan";
  } else if (std::isinf(value)) {
    digits = "inf";
  } else {
    switch (type | 0x20) {
      case 'f':
        digits = fixed_digits(std::abs(value), precision);
        break;
      case 'e':
        digits = scientific_digits(std::abs(value), precision);
        break;
      default:
        digits = general_digits(std::abs(value), precision, alternate);
        break;
    }
  }
  if (upper)
    std::ranges::transform(digits, digits.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return digits;
}

double round_float(double value, std::int64_t digits) {
  if (!std::isfinite(value) || digits > 330) return value;
  if (digits < -310) return std::copysign(0.0, value);
  if (digits >= 0) {
    return parse_double(fixed_digits(value, static_cast<int>(digits)));
  }
  // Left of the point: the exact digits, cut and rounded by hand, ties to even.
  std::string exact = fixed_digits(std::abs(value), 1074);
  const std::size_t point = exact.find('.');
  const auto zeros = static_cast<std::size_t>(-digits);
  std::string whole = std::string(zeros > point ? zeros - point : 0, '0') + exact.substr(0, point);
  const std::size_t cut = whole.size() - zeros;
  const std::string tail = whole.substr(cut) + exact.substr(point + 1);
  const bool above = tail[0] > '5' || (tail[0] == '5' && tail.find_first_not_of('0', 1) != std::string::npos);
  const bool tie = tail[0] == '5' && !above;
  const bool odd = cut > 0 && (whole[cut - 1] - '0') % 2 == 1;
  std::string kept = "0" + whole.substr(0, cut);
  if (above || (tie && odd)) {
    std::size_t place = kept.size() - 1;
    while (kept[place] == '9') kept[place--] = '0';
    ++kept[place];
  }
  return std::copysign(parse_double(kept + std::string(zeros, '0')), value);
}

std::string integer_digits(std::int64_t value, int base, bool upper) {
  const std::uint64_t magnitude =
      value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  char buffer[70];
  std::string digits(buffer, std::to_chars(buffer, buffer + sizeof buffer, magnitude, base).ptr);
  if (upper)
    std::ranges::transform(digits, digits.begin(),
                           [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
  return digits;
}

}  // namespace tessera::text::jinja
