// Widening of every weight type to float32 vectors, in the order of the row. Included by the translation
// units of one ISA after its vector header; lives in that ISA's namespace.
//
// Each block type offers decode_block(block, scales, sink): sink(i, v) receives the elements i ... i + kLanes
// - 1 of the block, in ascending order of i, because that is the order in which every linear kernel sums; it
// stores them or multiplies them with an input at once. `scales` are the block's kScales f16 fields as
// float32, which load_scales widens for many blocks together: one at a time they would cost more than the
// weights.
//
// The values are the bits that kernels/ref gives: a product of an f16 scale (11 significant bits) with a
// small integer is exact in float32, so fusing it with the sum that follows leaves one rounding, as there.
#pragma once
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::TESSERA_ISA {

alignas(64) static constexpr float kNonLinearLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                           1,    13,   25,  38,  53,  69,  89,  113};

// Blocks whose scales are widened together.
inline constexpr std::int64_t kScaleBlocks = 32;

// scales[b kScales + s] = f16 field s of block b; the fields are the first bytes of a block.
template <typename Type>
TESSERA_INLINE void load_scales(const std::byte* blocks, std::int64_t count, float* scales) {
  for (std::int64_t b = 0; b < count; ++b)
    widen_scales<Type::kScales>(blocks + b * Type::kBytes, scales + b * Type::kScales);
}

// kHalf bytes carry kHalf elements in their low nibbles and the next kHalf in their high ones.
template <std::int64_t kHalf, typename Low, typename High, typename Sink>
TESSERA_INLINE void decode_nibbles(const std::byte* packed, Low low, High high, Sink sink) {
  Int bytes[kHalf / kLanes];
  TESSERA_UNROLL
  for (std::int64_t i = 0; i < kHalf / kLanes; ++i) {
    bytes[i] = load_bytes(packed + i * kLanes);
    sink(i * kLanes, low_nibbles(low, bytes[i]));
  }
  TESSERA_UNROLL
  for (std::int64_t i = 0; i < kHalf / kLanes; ++i) sink(kHalf + i * kLanes, high_nibbles(high, bytes[i]));
}

// d q + m of a 5-bit block of 32: nibbles as above, fifth bits in a mask of 32.
template <typename Sink>
TESSERA_INLINE void decode_five_bits(const std::byte* mask, const std::byte* packed, Float d, Float m,
                                     Sink sink) {
  std::uint32_t fifth = 0;
  __builtin_memcpy(&fifth, mask, sizeof(fifth));
  TESSERA_UNROLL
  for (std::int64_t j = 0; j < 32; j += kLanes) {
    const Int bytes = load_bytes(packed + j % 16);
    const Int nibble = j < 16 ? bit_and(bytes, 15) : shift_right(bytes, 4);
    sink(j, multiply_add(to_float(with_fifth_bits(nibble, fifth, static_cast<int>(j))), d, m));
  }
}

struct PlainF32 {
  static constexpr std::int64_t kElements = 1;
  static constexpr std::int64_t kBytes = 4;
  TESSERA_INLINE static Float decode(const std::byte* p) { return load(reinterpret_cast<const float*>(p)); }
};

struct PlainF16 {
  static constexpr std::int64_t kElements = 1;
  static constexpr std::int64_t kBytes = 2;
  TESSERA_INLINE static Float decode(const std::byte* p) { return load_f16(p); }
};

struct PlainBf16 {
  static constexpr std::int64_t kElements = 1;
  static constexpr std::int64_t kBytes = 2;
  TESSERA_INLINE static Float decode(const std::byte* p) { return load_bf16(p); }
};

struct BlockQ4_0 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kBytes = 18;
  static constexpr std::int64_t kScales = 1;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, const float* scales, Sink sink) {
    const AffineNibbles values = centred_nibbles(broadcast(scales[0]));
    decode_nibbles<16>(block + 2, values, values, sink);
  }
};

struct BlockIq4Nl {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kBytes = 18;
  static constexpr std::int64_t kScales = 1;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, const float* scales, Sink sink) {
    const ScaledLevels values = scaled_levels(kNonLinearLevels, broadcast(scales[0]));
    decode_nibbles<16>(block + 2, values, values, sink);
  }
};

struct BlockQ4_1 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kBytes = 20;
  static constexpr std::int64_t kScales = 2;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, const float* scales, Sink sink) {
    const AffineNibbles values = affine_nibbles(broadcast(scales[0]), broadcast(scales[1]));
    decode_nibbles<16>(block + 4, values, values, sink);
  }
};

struct BlockQ5_0 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kBytes = 22;
  static constexpr std::int64_t kScales = 1;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, const float* scales, Sink sink) {
    const Float d = broadcast(scales[0]);
    decode_five_bits(block + 2, block + 6, d, multiply(d, broadcast(-16.0F)), sink);
  }
};

struct BlockQ5_1 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kBytes = 24;
  static constexpr std::int64_t kScales = 2;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, const float* scales, Sink sink) {
    decode_five_bits(block + 4, block + 8, broadcast(scales[0]), broadcast(scales[1]), sink);
  }
};

struct BlockQ8_0 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kBytes = 34;
  static constexpr std::int64_t kScales = 1;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, const float* scales, Sink sink) {
    const Float d = broadcast(scales[0]);
    TESSERA_UNROLL
    for (std::int64_t j = 0; j < 32; j += kLanes) {
      sink(j, multiply(d, to_float(load_signed_bytes(block + 2 + j))));
    }
  }
};

}  // namespace tessera::kernels::TESSERA_ISA
