// Widening of the 256-element "K" super-blocks; see decode.h for the contract and kernels/ref for the
// layouts.
#pragma once
#include "kernels/cpu/decode.h"

namespace tessera::kernels::TESSERA_ISA {

TESSERA_INLINE unsigned byte_of(const std::byte* p, std::int64_t offset) {
  return static_cast<unsigned>(p[offset]);
}

// The eight 6-bit scales and minima of Q4_K and Q5_K, one a byte.
struct SixBitScales {
  std::uint8_t scales[8];
  std::uint8_t minima[8];
};
TESSERA_INLINE SixBitScales unpack_scales(const std::byte* packed) {
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint32_t c = 0;
  __builtin_memcpy(&a, packed, 4);
  __builtin_memcpy(&b, packed + 4, 4);
  __builtin_memcpy(&c, packed + 8, 4);
  const std::uint32_t words[4] = {
      a & 0x3f3f3f3fU,
      (c & 0x0f0f0f0fU) | ((a >> 2) & 0x30303030U),
      b & 0x3f3f3f3fU,
      ((c >> 4) & 0x0f0f0f0fU) | ((b >> 2) & 0x30303030U),
  };
  SixBitScales result;
  __builtin_memcpy(&result, words, sizeof(result));
  return result;
}

struct BlockQ4K {
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kBytes = 144;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, Sink sink) {
    const float d = load_one_f16(block);
    const float dmin = load_one_f16(block + 2);
    const SixBitScales six = unpack_scales(block + 4);
    const Table16 nibbles = load_table(kUnsignedNibbles);
    for (std::int64_t chunk = 0; chunk < 4; ++chunk) {
      const auto table_of = [&](std::int64_t sub) {
        const Float scale = broadcast(d * static_cast<float>(six.scales[sub]));
        const Float minimum = broadcast(-(dmin * static_cast<float>(six.minima[sub])));
        return shift_table(scale_table(nibbles, scale), minimum);
      };
      const Table16 low = table_of(2 * chunk);
      const Table16 high = table_of(2 * chunk + 1);
      decode_nibbles<32>(block + 16 + 32 * chunk, low, high,
                         [&](std::int64_t i, Float v) { sink(64 * chunk + i, v); });
    }
  }
};

struct BlockQ5K {
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kBytes = 176;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, Sink sink) {
    const float d = load_one_f16(block);
    const float dmin = load_one_f16(block + 2);
    const SixBitScales six = unpack_scales(block + 4);
    for (std::int64_t sub = 0; sub < 8; ++sub) {
      const Float scale = broadcast(d * static_cast<float>(six.scales[sub]));
      const Float minimum = broadcast(dmin * static_cast<float>(six.minima[sub]));
      TESSERA_UNROLL
      for (std::int64_t j = 0; j < 32; j += kLanes) {
        const Int bytes = load_bytes(block + 48 + 32 * (sub / 2) + j);
        const Int nibble = bit_and(shift_right(bytes, static_cast<unsigned>(4 * (sub % 2))), 15);
        const Int fifth = bit_and(shift_right(load_bytes(block + 16 + j), static_cast<unsigned>(sub)), 1);
        const Float q = to_float(bit_or(nibble, shift_left(fifth, 4)));
        sink(32 * sub + j, subtract(multiply(scale, q), minimum));
      }
    }
  }
};

struct BlockQ2K {
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kBytes = 84;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, Sink sink) {
    const float d = load_one_f16(block + 80);
    const float dmin = load_one_f16(block + 82);
    for (std::int64_t sub = 0; sub < 16; ++sub) {
      const unsigned packed = byte_of(block, sub);
      const Float scale = broadcast(d * static_cast<float>(packed & 15U));
      const Float minimum = broadcast(dmin * static_cast<float>(packed >> 4));
      const std::byte* bytes = block + 16 + 32 * (sub / 8) + 16 * (sub % 2);
      const auto shift = static_cast<unsigned>(2 * (sub % 8 / 2));
      TESSERA_UNROLL
      for (std::int64_t j = 0; j < 16; j += kLanes) {
        const Float q = to_float(bit_and(shift_right(load_bytes(bytes + j), shift), 3));
        sink(16 * sub + j, subtract(multiply(scale, q), minimum));
      }
    }
  }
};

struct BlockQ3K {
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kBytes = 110;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, Sink sink) {
    const float d = load_one_f16(block + 108);
    for (std::int64_t sub = 0; sub < 16; ++sub) {
      const unsigned low = sub < 8 ? byte_of(block, 96 + sub) & 15U : byte_of(block, 88 + sub) >> 4;
      const unsigned high = (byte_of(block, 104 + sub % 4) >> (2 * (sub / 4))) & 3U;
      const Float scale = broadcast(d * static_cast<float>(static_cast<int>(low | (high << 4)) - 32));
      const std::byte* bytes = block + 32 + 32 * (sub / 8) + 16 * (sub % 2);
      const std::byte* masks = block + 16 * (sub % 2);
      const auto shift = static_cast<unsigned>(2 * (sub % 8 / 2));
      const auto bit = static_cast<unsigned>(sub / 2);
      TESSERA_UNROLL
      for (std::int64_t j = 0; j < 16; j += kLanes) {
        const Int pair = bit_and(shift_right(load_bytes(bytes + j), shift), 3);
        const Int third = bit_and(shift_right(load_bytes(masks + j), bit), 1);
        const Int q = add_int(bit_or(pair, shift_left(third, 2)), broadcast_int(-4));
        sink(16 * sub + j, multiply(scale, to_float(q)));
      }
    }
  }
};

struct BlockQ6K {
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kBytes = 210;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, Sink sink) {
    const float d = load_one_f16(block + 208);
    for (std::int64_t sub = 0; sub < 16; ++sub) {
      const auto signed_scale = static_cast<std::int8_t>(byte_of(block, 192 + sub));
      const Float scale = broadcast(d * static_cast<float>(signed_scale));
      const std::int64_t half = sub / 8;
      const std::int64_t quarter = sub % 8 / 2;
      const std::byte* nibbles = block + 64 * half + 32 * (quarter % 2) + 16 * (sub % 2);
      const std::byte* pairs = block + 128 + 32 * half + 16 * (sub % 2);
      const auto nibble_shift = static_cast<unsigned>(4 * (quarter / 2));
      const auto pair_shift = static_cast<unsigned>(2 * quarter);
      TESSERA_UNROLL
      for (std::int64_t j = 0; j < 16; j += kLanes) {
        const Int low = bit_and(shift_right(load_bytes(nibbles + j), nibble_shift), 15);
        const Int high = bit_and(shift_right(load_bytes(pairs + j), pair_shift), 3);
        const Int q = add_int(bit_or(low, shift_left(high, 4)), broadcast_int(-32));
        sink(16 * sub + j, multiply(scale, to_float(q)));
      }
    }
  }
};

}  // namespace tessera::kernels::TESSERA_ISA
