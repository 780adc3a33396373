// What attention adds to the vector vocabulary of NEON: products of a query with the bytes of q8_0 keys.
#pragma once
#include "kernels/cpu/isa/neon_vector.h"

namespace tessera::kernels::neon {

static inline Float float_of_bits(Int v) { return vreinterpretq_f32_s32(v); }
// To the nearest integer.
static inline Int to_int(Float v) { return vcvtnq_s32_f32(v); }
// The lowest byte of each lane.
static inline void store_bytes(std::byte* p, Int v) {
  alignas(16) std::int32_t lanes[kLanes];
  vst1q_s32(lanes, v);
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<std::byte>(lanes[i]);
}
// x 2^n for x in [1/2, 2] and integral n in [-125, 0]: n is added to the exponent.
static inline Float scale_by_exponent(Float x, Float n) {
  return float_of_bits(vaddq_s32(bits_of(x), vshlq_n_s32(to_int(n), 23)));
}

// Four neighbouring elements of a key in each lane, as bytes with 128 added: elements 0 and 2, and 1 and 3,
// as 16-bit numbers.
struct KeyQuads {
  int16x8_t even;
  int16x8_t odd;
};
static inline KeyQuads load_quads(const std::byte* p) {
  const uint16x8_t pairs = vreinterpretq_u16_s32(load_words(p));
  return {vreinterpretq_s16_u16(vandq_u16(pairs, vdupq_n_u16(255))),
          vreinterpretq_s16_u16(vshrq_n_u16(pairs, 8))};
}

// 4 quants of magnitude up to 127 * 128, as the words of one quad: elements 0 and 2 at `words`, 1 and 3
// `apart` further.
static inline void pack_query(Int quants, std::int32_t* words, std::int64_t apart) {
  alignas(16) std::uint32_t q[kLanes];
  vst1q_u32(q, vreinterpretq_u32_s32(quants));
  words[0] = static_cast<std::int32_t>((q[0] & 0xffffU) | q[2] << 16);
  words[apart] = static_cast<std::int32_t>((q[1] & 0xffffU) | q[3] << 16);
}
// a[2i] b0 + a[2i + 1] b1, b0 and b1 the halves of `word`.
static inline Int pair_products(int16x8_t a, std::int32_t word) {
  const int16x8_t b = vreinterpretq_s16_s32(vdupq_n_s32(word));
  return vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b));
}
inline constexpr int kQuadPhases = 1;
static inline Int next_phase(Int sum) { return sum; }
template <int kPhase>
static inline Int add_quads(Int sum, const KeyQuads& keys, std::int32_t even, std::int32_t odd) {
  return vaddq_s32(vaddq_s32(sum, pair_products(keys.even, even)), pair_products(keys.odd, odd));
}

}  // namespace tessera::kernels::neon
