// Dot products of unsigned weight bytes with quantised inputs in Advanced SIMD (Armv8.0, without the dot
// product extension), for kernels/cpu/packed_linear.h.
#pragma once
#include "kernels/cpu/isa/neon_vector.h"
#include "kernels/cpu/unroll.h"
#include "kernels/packed_layout.h"

namespace tessera::kernels::neon {

// Tiles of packed floats: 24 sums, 4 vectors of weights and 1 input in 32 registers.
inline constexpr int kFloatVectors = 4;
inline constexpr int kFloatTokens = 6;
inline constexpr int kSingleVectors = 8;

TESSERA_INLINE uint8x16_t bytes_of(Int v) { return vreinterpretq_u8_s32(v); }
TESSERA_INLINE Int from_bytes(uint8x16_t v) { return vreinterpretq_s32_u8(v); }

// kLanes rows x 4 columns of weights without sign: a quarter of a group.
TESSERA_INLINE Int load_group(const std::byte* p) { return load_words(p); }
TESSERA_INLINE Int low_nibbles_of(Int bytes) { return from_bytes(vandq_u8(bytes_of(bytes), vdupq_n_u8(15))); }
TESSERA_INLINE Int high_nibbles_of(Int bytes) { return from_bytes(vshrq_n_u8(bytes_of(bytes), 4)); }
// bytes + `value` where a bit of the 16 at `mask` is set: each byte of the mask is copied to eight lanes,
// which test a bit each.
TESSERA_INLINE Int add_masked(Int bytes, const std::byte* mask, char value) {
  std::uint8_t bits[2];
  __builtin_memcpy(bits, mask, sizeof(bits));
  const uint8x16_t copies = vcombine_u8(vdup_n_u8(bits[0]), vdup_n_u8(bits[1]));
  const uint8x8_t eight = vcreate_u8(0x8040201008040201U);
  const uint8x16_t set = vtstq_u8(copies, vcombine_u8(eight, eight));
  return from_bytes(vorrq_u8(bytes_of(bytes), vandq_u8(set, vdupq_n_u8(static_cast<std::uint8_t>(value)))));
}
// Bits [2 g, 2 g + 2) of each byte, moved up by `shift`.
template <int kShift>
TESSERA_INLINE Int pairs_of(Int bytes, int g) {
  const uint8x16_t moved = vshlq_u8(bytes_of(bytes), vdupq_n_s8(static_cast<std::int8_t>(kShift - 2 * g)));
  return from_bytes(vandq_u8(moved, vdupq_n_u8(3 << kShift)));
}
TESSERA_INLINE Int or_bytes(Int a, Int b) { return vorrq_s32(a, b); }
// table[b] for bytes b < 16.
TESSERA_INLINE Int look_up(const std::uint8_t* table, Int bytes) {
  return from_bytes(vqtbl1q_u8(vld1q_u8(table), bytes_of(bytes)));
}
TESSERA_INLINE Int broadcast_word(const std::byte* p) {
  return vreinterpretq_s32_u32(vdupq_n_u32(load_word(p)));
}

// Inputs as 16-bit integers, each four columns in the order 0 2 1 3: a row's four weight bytes split into the
// even and the odd ones by a mask and a shift, two sums a row, which are added at the end.
struct WordInputs {
  struct Tile {  // with many tokens: 12 integer and 6 float sums, 4 vectors of weights, 2 inputs
    static constexpr int kTileVectors = 1;
    static constexpr int kTileTokens = 6;
    static constexpr int kFewTokens = 6;
  };
  struct Four {
    int16x8_t even;
    int16x8_t odd;
  };
  struct Sum {
    Int first;  // rows 0 and 1
    Int last;   // rows 2 and 3
  };
  TESSERA_INLINE static Four load(const std::byte* values, std::int64_t k, std::int64_t /*columns*/) {
    return {vreinterpretq_s16_s32(broadcast_word(values + 2 * k)),
            vreinterpretq_s16_s32(broadcast_word(values + 2 * k + 4))};
  }
  TESSERA_INLINE static Sum start(Int initial) {
    return {vzip1q_s32(initial, vdupq_n_s32(0)), vzip2q_s32(initial, vdupq_n_s32(0))};
  }
  TESSERA_INLINE static void add(Sum& sum, Int weights, const Four& inputs) {
    const uint16x8_t pairs = vreinterpretq_u16_s32(weights);
    const int16x8_t even = vreinterpretq_s16_u16(vandq_u16(pairs, vdupq_n_u16(255)));
    const int16x8_t odd = vreinterpretq_s16_u16(vshrq_n_u16(pairs, 8));
    sum.first = vmlal_s16(sum.first, vget_low_s16(even), vget_low_s16(inputs.even));
    sum.last = vmlal_high_s16(sum.last, even, inputs.even);
    sum.first = vmlal_s16(sum.first, vget_low_s16(odd), vget_low_s16(inputs.odd));
    sum.last = vmlal_high_s16(sum.last, odd, inputs.odd);
  }
  TESSERA_INLINE static Int finish(Sum sum) { return vpaddq_s32(sum.first, sum.last); }
};

// sum + the products of four bytes a lane.
TESSERA_INLINE Int add_byte_products(Int sum, Int without_sign, Int with_sign) {
  const uint8x16_t a = bytes_of(without_sign);
  const int8x16_t b = vreinterpretq_s8_s32(with_sign);
  const int16x8_t low = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(a))), vmovl_s8(vget_low_s8(b)));
  const int16x8_t high = vmulq_s16(vreinterpretq_s16_u16(vmovl_high_u8(a)), vmovl_high_s8(b));
  return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
}

// Rounds to nearest even; what is not a number becomes zero.
TESSERA_INLINE Int round_to_int(Float v) { return vcvtnq_s32_f32(v); }
TESSERA_INLINE std::int32_t sum_ints(Int v) { return vaddvq_s32(v); }
// The largest magnitude of 32 elements; a NaN is larger than everything.
TESSERA_INLINE float largest_magnitude(const Float (&values)[8]) {
  const Int mask = vdupq_n_s32(0x7fffffff);
  Int larger = vandq_s32(bits_of(values[0]), mask);
  TESSERA_UNROLL
  for (int v = 1; v < 8; ++v) larger = vmaxq_s32(larger, vandq_s32(bits_of(values[v]), mask));
  const std::int32_t bits = vmaxvq_s32(larger);
  float largest = 0;
  __builtin_memcpy(&largest, &bits, sizeof(largest));
  return largest;
}

// The integers of 32 elements into a quantised row.
TESSERA_INLINE void store_integers(std::byte* row, std::int64_t k, std::int64_t /*columns*/,
                                   const Int (&integers)[8]) {
  TESSERA_UNROLL
  for (int v = 0; v < 8; ++v) {
    const int16x4_t four = vqmovn_s32(integers[v]);
    // 0 2 and 1 3: the even and the odd columns.
    const int16x4_t ordered = vuzp1_s16(four, four);
    const int16x4_t odd = vuzp2_s16(four, four);
    const int32x2_t both = vzip1_s32(vreinterpret_s32_s16(ordered), vreinterpret_s32_s16(odd));
    const std::uint64_t bytes = vget_lane_u64(vreinterpret_u64_s32(both), 0);
    __builtin_memcpy(row + 2 * k + 8 * v, &bytes, sizeof(bytes));
  }
}

}  // namespace tessera::kernels::neon
