// Reads the fields of a quantised block: little-endian, unaligned.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/float16.h"

namespace tessera::kernels::ref {

inline unsigned byte_at(const std::byte* block, std::int64_t offset) {
  return std::to_integer<unsigned>(block[offset]);
}

inline float f16_at(const std::byte* block, std::int64_t offset) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, block + offset, sizeof(bits));
  return f16_to_f32(bits);
}

inline std::uint32_t u32_at(const std::byte* block, std::int64_t offset) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, block + offset, sizeof(bits));
  return bits;
}

inline int signed_byte_at(const std::byte* block, std::int64_t offset) {
  return static_cast<std::int8_t>(byte_at(block, offset));
}

}  // namespace tessera::kernels::ref
