// A number scrambled: every bit of the input changes half of the output. For orders and choices that must be
// the same on every machine.
#pragma once
#include <cstdint>

namespace tessera {

// SplitMix64 (Steele, Lea, Flood 2014, "Fast Splittable Pseudorandom Number Generators").
constexpr std::uint64_t split_mix64(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27U)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31U);
}

}  // namespace tessera
