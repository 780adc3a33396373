// Rounds keys and values into the paged cache. Included by the translation units of one ISA after its vector
// header. The bits are those of kernels/ref/key_value.cpp.
#pragma once
#include "kernels/cpu/attention_state.h"

namespace tessera::kernels::TESSERA_ISA {

// Keys of f16: a row becomes a column, 16 elements at a time.
static void store_key_f16(const float* row, std::int64_t head_dim, std::byte* group, std::int64_t place) {
  alignas(64) std::uint16_t halves[kLanes];
  std::byte* target = group + 2 * place;
  for (std::int64_t d = 0; d < head_dim; d += kLanes) {
    const std::int64_t rest = head_dim - d;
    const Float v = rest >= kLanes ? load(row + d) : load_first(row + d, rest);
    store_f16(reinterpret_cast<std::byte*>(halves), v);
    for (std::int64_t i = 0; i < lesser(rest, kLanes); ++i, target += 2 * kKeyGroup) {
      __builtin_memcpy(target, &halves[i], 2);
    }
  }
}

static void store_value_f16(const float* row, std::int64_t head_dim, std::byte* group, std::int64_t place) {
  const std::int64_t width = value_width(head_dim);
  std::byte* target = group + 2 * place * width;
  for (std::int64_t d = 0; d < width; d += kLanes) {
    const std::int64_t rest = head_dim - d;
    store_f16(target + 2 * d, rest >= kLanes ? load(row + d) : load_first(row + d, larger(rest, 0)));
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
