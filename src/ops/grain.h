// How much light work (a few operations an element) is worth waking another thread for.
#pragma once
#include <algorithm>
#include <cstdint>

namespace tessera::ops {

// About ten microseconds of streaming arithmetic: several times the cost of a barrier.
inline constexpr std::int64_t kElementGrain = 16 * 1024;

// Rows of `width` elements that make up one grain.
inline std::int64_t row_grain(std::int64_t width) {
  return std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(1, width));
}

}  // namespace tessera::ops
