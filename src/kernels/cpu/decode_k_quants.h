// Widening of the 256-element "K" super-blocks; see decode.h for the contract and kernels/ref for the
// layouts.
//
// The scales and minima of all sub-blocks are widened first, in vectors, and broadcast from memory
// afterwards. All of their products with the packed integers are exact in float32 (11 + 6 + 5 bits at most,
// or 11 + 7 + 6 = 24 for Q6_K).
#pragma once
#include "kernels/cpu/decode.h"

namespace tessera::kernels::TESSERA_ISA {

// Sixteen bytes that hold one integer a sub-block.
struct SubBlockBytes {
  std::uint32_t words[4];
};
TESSERA_INLINE const std::byte* bytes_of(const SubBlockBytes& bytes) {
  return reinterpret_cast<const std::byte*>(bytes.words);
}

// The three words of a 12-byte field of packed scales.
struct PackedScales {
  std::uint32_t a;
  std::uint32_t b;
  std::uint32_t c;
};
TESSERA_INLINE PackedScales load_packed_scales(const std::byte* p) {
  PackedScales packed;
  __builtin_memcpy(&packed, p, sizeof(packed));
  return packed;
}

// Q4_K and Q5_K: eight 6-bit scales, then eight 6-bit minima.
TESSERA_INLINE SubBlockBytes unpack_scales_and_minima(const std::byte* p) {
  const PackedScales s = load_packed_scales(p);
  return {{s.a & 0x3f3f3f3fU, (s.c & 0x0f0f0f0fU) | ((s.a >> 2) & 0x30303030U), s.b & 0x3f3f3f3fU,
           ((s.c >> 4) & 0x0f0f0f0fU) | ((s.b >> 2) & 0x30303030U)}};
}

// Q3_K: sixteen 6-bit scales, stored plus 32.
TESSERA_INLINE SubBlockBytes unpack_q3_k_scales(const std::byte* p) {
  const PackedScales s = load_packed_scales(p);
  const auto join = [](std::uint32_t low, std::uint32_t high) {
    return (low & 0x0f0f0f0fU) | ((high & 0x03030303U) << 4);
  };
  return {{join(s.a, s.c), join(s.b, s.c >> 2), join(s.a >> 4, s.c >> 4), join(s.b >> 4, s.c >> 6)}};
}

// target[i] = factor * value(integers)[i] for sixteen sub-blocks.
template <typename Value>
TESSERA_INLINE void scale_sixteen(const std::byte* bytes, float factor, float* target, Value value) {
  TESSERA_UNROLL
  for (std::int64_t i = 0; i < 16; i += kLanes) {
    store(target + i, multiply(broadcast(factor), to_float(value(load_bytes(bytes + i)))));
  }
}
TESSERA_INLINE void scale_sixteen(const std::byte* bytes, float factor, float* target) {
  scale_sixteen(bytes, factor, target, [](Int v) { return v; });
}

// What the 6-bit scales and minima of a Q4_K or Q5_K block come to.
struct AffineScales {
  alignas(64) float d[16];  // d s of sub-blocks 0-7 (the rest is not used)
  alignas(64) float m[16];  // -dmin m of sub-blocks 0-7 at 8-15
};
TESSERA_INLINE void load_affine_scales(const std::byte* block, AffineScales& scales) {
  const SubBlockBytes six = unpack_scales_and_minima(block + 4);
  scale_sixteen(bytes_of(six), load_one_f16(block), scales.d);
  scale_sixteen(bytes_of(six), -load_one_f16(block + 2), scales.m);
}

struct BlockQ4K {
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kBytes = 144;
  static constexpr std::int64_t kScales = 0;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, const float* /*scales*/, Sink sink) {
    AffineScales scales;
    load_affine_scales(block, scales);
    TESSERA_UNROLL
    for (std::int64_t chunk = 0; chunk < 4; ++chunk) {
      const std::int64_t sub = 2 * chunk;
      const AffineNibbles low = affine_nibbles(broadcast(scales.d[sub]), broadcast(scales.m[sub + 8]));
      const AffineNibbles high = affine_nibbles(broadcast(scales.d[sub + 1]), broadcast(scales.m[sub + 9]));
      decode_nibbles<32>(block + 16 + 32 * chunk, low, high,
                         [&](std::int64_t i, Float v) TESSERA_LAMBDA { sink(64 * chunk + i, v); });
    }
  }
};

struct BlockQ5K {
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kBytes = 176;
  static constexpr std::int64_t kScales = 0;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, const float* /*scales*/, Sink sink) {
    AffineScales scales;
    load_affine_scales(block, scales);
    TESSERA_UNROLL
    for (std::int64_t sub = 0; sub < 8; ++sub) {
      const Float d = broadcast(scales.d[sub]);
      const Float m = broadcast(scales.m[sub + 8]);
      TESSERA_UNROLL
      for (std::int64_t j = 0; j < 32; j += kLanes) {
        const Int bytes = load_bytes(block + 48 + 32 * (sub / 2) + j);
        const Int nibble = sub % 2 == 0 ? bit_and(bytes, 15) : shift_right(bytes, 4);
        const Int fifth = shift_bits(load_bytes(block + 16 + j), 4 - static_cast<int>(sub));
        sink(32 * sub + j, multiply_add(to_float(bit_or(nibble, bit_and(fifth, 16))), d, m));
      }
    }
  }
};

struct BlockQ2K {
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kBytes = 84;
  static constexpr std::int64_t kScales = 0;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, const float* /*scales*/, Sink sink) {
    alignas(64) float d[16];
    alignas(64) float m[16];
    scale_sixteen(block, load_one_f16(block + 80), d, [](Int v) { return bit_and(v, 15); });
    scale_sixteen(block, -load_one_f16(block + 82), m, [](Int v) { return shift_right(v, 4); });
    TESSERA_UNROLL
    for (std::int64_t sub = 0; sub < 16; ++sub) {
      const Float scale = broadcast(d[sub]);
      const Float minimum = broadcast(m[sub]);
      const std::byte* bytes = block + 16 + 32 * (sub / 8) + 16 * (sub % 2);
      TESSERA_UNROLL
      for (std::int64_t j = 0; j < 16; j += kLanes) {
        const Int pair = bit_and(shift_bits(load_bytes(bytes + j), -2 * static_cast<int>(sub % 8 / 2)), 3);
        sink(16 * sub + j, multiply_add(to_float(pair), scale, minimum));
      }
    }
  }
};

struct BlockQ3K {
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kBytes = 110;
  static constexpr std::int64_t kScales = 0;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, const float* /*scales*/, Sink sink) {
    alignas(64) float d[16];
    const SubBlockBytes six = unpack_q3_k_scales(block + 96);
    scale_sixteen(bytes_of(six), load_one_f16(block + 108), d,
                  [](Int v) { return add_int(v, broadcast_int(-32)); });
    TESSERA_UNROLL
    for (std::int64_t sub = 0; sub < 16; ++sub) {
      const Float scale = broadcast(d[sub]);
      const Float minimum = multiply(scale, broadcast(-4.0F));
      const std::byte* bytes = block + 32 + 32 * (sub / 8) + 16 * (sub % 2);
      const std::byte* masks = block + 16 * (sub % 2);
      TESSERA_UNROLL
      for (std::int64_t j = 0; j < 16; j += kLanes) {
        const Int pair = bit_and(shift_bits(load_bytes(bytes + j), -2 * static_cast<int>(sub % 8 / 2)), 3);
        const Int third = bit_and(shift_bits(load_bytes(masks + j), 2 - static_cast<int>(sub / 2)), 4);
        sink(16 * sub + j, multiply_add(to_float(bit_or(pair, third)), scale, minimum));
      }
    }
  }
};

struct BlockQ6K {
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kBytes = 210;
  static constexpr std::int64_t kScales = 0;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, const float* /*scales*/, Sink sink) {
    alignas(64) float d[16];
    const Float factor = broadcast(load_one_f16(block + 208));
    TESSERA_UNROLL
    for (std::int64_t i = 0; i < 16; i += kLanes) {
      store(d + i, multiply(factor, to_float(load_signed_bytes(block + 192 + i))));
    }
    TESSERA_UNROLL
    for (std::int64_t sub = 0; sub < 16; ++sub) {
      const Float scale = broadcast(d[sub]);
      const Float minimum = multiply(scale, broadcast(-32.0F));
      const std::int64_t half = sub / 8;
      const std::int64_t quarter = sub % 8 / 2;
      const std::byte* nibbles = block + 64 * half + 32 * (quarter % 2) + 16 * (sub % 2);
      const std::byte* pairs = block + 128 + 32 * half + 16 * (sub % 2);
      TESSERA_UNROLL
      for (std::int64_t j = 0; j < 16; j += kLanes) {
        const Int bytes = load_bytes(nibbles + j);
        const Int low = quarter < 2 ? bit_and(bytes, 15) : shift_right(bytes, 4);
        const Int high = bit_and(shift_bits(load_bytes(pairs + j), 4 - 2 * static_cast<int>(quarter)), 48);
        sink(16 * sub + j, multiply_add(to_float(bit_or(low, high)), scale, minimum));
      }
    }
  }
};

}  // namespace tessera::kernels::TESSERA_ISA
