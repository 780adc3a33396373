// Numbers within bounds, as grammars: the part of a JSON schema that says minimum and maximum.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace tessera::engine {

// What a number may be: least <= x <= most, without the bound itself where it is excluded.
struct NumberBounds {
  std::optional<std::int64_t> least = {};
  std::optional<std::int64_t> most = {};
  bool above_least = false;
  bool below_most = false;
};

// A GBNF expression of the integers within the bounds, without leading zeros, at most 16 digits; empty when
// there is none.
std::string bounded_integer_gbnf(const NumberBounds& bounds);
// The same of decimal numbers, with at most 16 digits after the point and no exponent.
std::string bounded_number_gbnf(const NumberBounds& bounds);

}  // namespace tessera::engine
