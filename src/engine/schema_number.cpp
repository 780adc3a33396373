#include "engine/schema_number.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

namespace tessera::engine {
namespace {

constexpr std::int64_t kMostInteger = 9'999'999'999'999'999;  // of 16 digits
constexpr const char* kAnyFraction = R"(("." [0-9]{1,16})?)";
constexpr const char* kSomeFraction = R"("." "0"{0,7} [1-9] [0-9]{0,8})";
constexpr const char* kNoFraction = R"(("." "0"{1,16})?)";

void add(std::vector<std::string>& alternatives, std::string text) {
  if (!text.empty()) alternatives.push_back(std::move(text));
}

std::string either(const std::vector<std::string>& alternatives) {
  if (alternatives.empty()) return {};
  std::string text;
  for (const std::string& one : alternatives) text += (text.empty() ? "(" : " | ") + one;
  return text + ")";
}

std::string digit_between(char low, char high) {
  return low == high ? fmt::format("\"{}\"", low) : fmt::format("[{}-{}]", low, high);
}

std::string any_digits(std::size_t count) { return count == 0 ? "" : fmt::format(" [0-9]{{{}}}", count); }

// Digit strings of one length from `low` to `high`: as far as both begin alike, then the ends and what is
// between.
std::string digits_between(const std::string& low, const std::string& high) {
  if (low == high) return "\"" + low + "\"";
  const auto same = static_cast<std::size_t>(std::ranges::mismatch(low, high).in1 - low.begin());
  const std::string prefix = same == 0 ? "" : "\"" + low.substr(0, same) + "\" ";
  const std::size_t rest = low.size() - same - 1;
  const std::string low_rest = low.substr(same + 1);
  const std::string high_rest = high.substr(same + 1);
  char first = low[same];
  char last = high[same];
  std::vector<std::string> alternatives;
  if (low_rest != std::string(rest, '0')) {
    add(alternatives, fmt::format("\"{}\" {}", first, digits_between(low_rest, std::string(rest, '9'))));
    ++first;
  }
  std::string end;
  if (high_rest != std::string(rest, '9')) {
    end = fmt::format("\"{}\" {}", last, digits_between(std::string(rest, '0'), high_rest));
    --last;
  }
  if (first <= last) add(alternatives, digit_between(first, last) + any_digits(rest));
  add(alternatives, std::move(end));
  return prefix + either(alternatives);
}

// Integers 0 <= low <= x <= high.
std::string naturals_between(std::int64_t low, std::int64_t high) {
  high = std::min(high, kMostInteger);
  if (low > high) return {};
  const std::string first = std::to_string(low);
  const std::string last = std::to_string(high);
  std::vector<std::string> alternatives;
  for (std::size_t length = first.size(); length <= last.size(); ++length) {
    const std::string least = length == 1 ? "0" : "1" + std::string(length - 1, '0');
    add(alternatives, digits_between(length == first.size() ? first : least,
                                     length == last.size() ? last : std::string(length, '9')));
  }
  return either(alternatives);
}

std::string with_minus(const std::string& text) { return text.empty() ? "" : "\"-\" " + text; }

// Decimals 0 <= low <= x <= high, without the bound where it is excluded.
std::string decimals_between(std::int64_t low, bool above, std::int64_t high, bool below) {
  std::vector<std::string> alternatives;
  const auto with_fraction = [&](std::int64_t from, std::int64_t to, const char* fraction) {
    const std::string whole = naturals_between(from, to);
    if (!whole.empty()) alternatives.push_back(whole + " " + fraction);
  };
  if (above && low < high) with_fraction(low, low, kSomeFraction);
  with_fraction(above ? low + 1 : low, high - 1, kAnyFraction);
  if (!below && high >= low && !(above && high == low)) with_fraction(high, high, kNoFraction);
  return either(alternatives);
}

}  // namespace

std::string bounded_integer_gbnf(const NumberBounds& bounds) {
  const std::int64_t low =
      std::max(bounds.least.value_or(-kMostInteger), -kMostInteger) + (bounds.above_least ? 1 : 0);
  const std::int64_t high =
      std::min(bounds.most.value_or(kMostInteger), kMostInteger) - (bounds.below_most ? 1 : 0);
  std::vector<std::string> alternatives;
  add(alternatives, with_minus(naturals_between(std::max<std::int64_t>(-high, 1), -low)));
  add(alternatives, naturals_between(std::max<std::int64_t>(low, 0), high));
  return either(alternatives);
}

std::string bounded_number_gbnf(const NumberBounds& bounds) {
  const std::int64_t low = std::max(bounds.least.value_or(-kMostInteger), -kMostInteger);
  const std::int64_t high = std::min(bounds.most.value_or(kMostInteger), kMostInteger);
  std::vector<std::string> alternatives;
  // Negative ones are the positive ones of the bounds turned round; zero has no sign.
  if (low < 0) {
    const bool reaches_zero = high >= 0;
    add(alternatives, with_minus(decimals_between(reaches_zero ? 0 : -high, reaches_zero || bounds.below_most,
                                                  -low, bounds.above_least)));
  }
  if (high >= 0) {
    add(alternatives, decimals_between(std::max<std::int64_t>(low, 0), low >= 0 && bounds.above_least, high,
                                       bounds.below_most));
  }
  return either(alternatives);
}

}  // namespace tessera::engine
