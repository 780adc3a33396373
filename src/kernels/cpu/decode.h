// Widening of every weight type to float32 vectors, in the order of the row. Included by the translation
// units of one ISA after its vector header; lives in that ISA's namespace.
//
// Each type offers decode_block(block, sink): sink(i, v) receives the elements i ... i + kLanes - 1 of the
// block. The sink stores them or multiplies them with an input at once; it is called in ascending order of i,
// because that is the order in which every linear kernel sums. Products and sums are rounded in the order of
// kernels/ref, without contraction, so the values are the same bits on every ISA.
#pragma once
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::TESSERA_ISA {

alignas(64) static constexpr float kUnsignedNibbles[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                           8, 9, 10, 11, 12, 13, 14, 15};
alignas(64) static constexpr float kSignedNibbles[16] = {-8, -7, -6, -5, -4, -3, -2, -1,
                                                         0,  1,  2,  3,  4,  5,  6,  7};
alignas(64) static constexpr float kNonLinearLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                           1,    13,   25,  38,  53,  69,  89,  113};

// kHalf bytes carry kHalf elements in their low nibbles and the next kHalf in their high ones.
template <std::int64_t kHalf, typename Sink>
TESSERA_INLINE void decode_nibbles(const std::byte* packed, Table16 low, Table16 high, Sink sink) {
  Int bytes[kHalf / kLanes];
  TESSERA_UNROLL
  for (std::int64_t i = 0; i < kHalf / kLanes; ++i) {
    bytes[i] = load_bytes(packed + i * kLanes);
    sink(i * kLanes, look_up(low, bytes[i]));
  }
  TESSERA_UNROLL
  for (std::int64_t i = 0; i < kHalf / kLanes; ++i) {
    sink(kHalf + i * kLanes, look_up(high, shift_right(bytes[i], 4)));
  }
}

// The integers of a 5-bit block of 32, `offset` added: nibbles as above, fifth bits in a mask of 32.
template <typename Sink>
TESSERA_INLINE void decode_five_bits(const std::byte* mask, const std::byte* packed, std::int32_t offset,
                                     Sink sink) {
  std::uint32_t fifth = 0;
  __builtin_memcpy(&fifth, mask, sizeof(fifth));
  TESSERA_UNROLL
  for (std::int64_t j = 0; j < 32; j += kLanes) {
    const Int bytes = load_bytes(packed + j % 16);
    const Int nibble = j < 16 ? bit_and(bytes, 15) : shift_right(bytes, 4);
    const Int q = bit_or(nibble, shift_left(spread_bits(fifth, static_cast<int>(j)), 4));
    sink(j, to_float(add_int(q, broadcast_int(offset))));
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
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, Sink sink) {
    const Table16 table = scale_table(load_table(kSignedNibbles), broadcast_f16(block));
    decode_nibbles<16>(block + 2, table, table, sink);
  }
};

struct BlockIq4Nl {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kBytes = 18;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, Sink sink) {
    const Table16 table = scale_table(load_table(kNonLinearLevels), broadcast_f16(block));
    decode_nibbles<16>(block + 2, table, table, sink);
  }
};

struct BlockQ4_1 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kBytes = 20;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, Sink sink) {
    Float d;
    Float m;
    broadcast_f16_pair(block, d, m);
    const Table16 table = shift_table(scale_table(load_table(kUnsignedNibbles), d), m);
    decode_nibbles<16>(block + 4, table, table, sink);
  }
};

struct BlockQ5_0 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kBytes = 22;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, Sink sink) {
    const Float d = broadcast_f16(block);
    decode_five_bits(block + 2, block + 6, -16, [&](std::int64_t i, Float q) { sink(i, multiply(d, q)); });
  }
};

struct BlockQ5_1 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kBytes = 24;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, Sink sink) {
    Float d;
    Float m;
    broadcast_f16_pair(block, d, m);
    decode_five_bits(block + 4, block + 8, 0,
                     [&](std::int64_t i, Float q) { sink(i, add(multiply(d, q), m)); });
  }
};

struct BlockQ8_0 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kBytes = 34;
  template <typename Sink>
  TESSERA_INLINE static void decode_block(const std::byte* block, Sink sink) {
    const Float d = broadcast_f16(block);
    TESSERA_UNROLL
    for (std::int64_t j = 0; j < 32; j += kLanes) {
      sink(j, multiply(d, to_float(load_signed_bytes(block + 2 + j))));
    }
  }
};

}  // namespace tessera::kernels::TESSERA_ISA
