// The vector vocabulary of Advanced SIMD (AArch64, Armv8.0) that the shared loops in kernels/cpu are written
// in. Everything is internal to this ISA's namespace and its own translation units: see "Build facts" in
// ARCHITECTURE.md.
#pragma once
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#define TESSERA_ISA neon

namespace tessera::kernels::neon {

using Float = float32x4_t;
using Int = int32x4_t;

inline constexpr std::int64_t kLanes = 4;
// Register tile of the linear kernels: kTileRows x kTileTokens sums, 6 inputs and 1 weight in 32 registers.
inline constexpr int kTileRows = 4;
inline constexpr int kTileTokens = 6;

static inline Float zero() { return vdupq_n_f32(0.0F); }
static inline Float broadcast(float value) { return vdupq_n_f32(value); }
static inline Float load(const float* p) { return vld1q_f32(p); }
static inline void store(float* p, Float v) { vst1q_f32(p, v); }
static inline uint32x4_t first_lanes(std::int64_t count) {
  const uint32x4_t lane = {0, 1, 2, 3};
  return vcltq_u32(lane, vdupq_n_u32(static_cast<std::uint32_t>(count)));
}
static inline void prefetch(const std::byte* p) { __asm__ volatile("prfm pldl1keep, %0" : : "Q"(*p)); }
// The first `count` < kLanes elements; the other lanes are zero, and their memory is not touched.
static inline Float load_first(const float* p, std::int64_t count) {
  alignas(16) float lanes[kLanes] = {};
  __builtin_memcpy(lanes, p, static_cast<std::size_t>(count) * sizeof(float));
  return load(lanes);
}
static inline void store_first(float* p, Float v, std::int64_t count) {
  alignas(16) float lanes[kLanes];
  store(lanes, v);
  __builtin_memcpy(p, lanes, static_cast<std::size_t>(count) * sizeof(float));
}
// Lanes from `count` on replaced by `filler`.
static inline Float keep_first(Float v, std::int64_t count, float filler) {
  return vbslq_f32(first_lanes(count), v, broadcast(filler));
}

static inline Float add(Float a, Float b) { return vaddq_f32(a, b); }
static inline Float subtract(Float a, Float b) { return vsubq_f32(a, b); }
static inline Float multiply(Float a, Float b) { return vmulq_f32(a, b); }
static inline Float divide(Float a, Float b) { return vdivq_f32(a, b); }
static inline Float multiply_add(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }
static inline Float subtract_product(Float a, Float b, Float c) { return vfmsq_f32(c, a, b); }  // c - a b
// Where an operand is NaN the result is `b`, as on x86; FMAX would give NaN for either.
static inline Float maximum(Float a, Float b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline Float minimum(Float a, Float b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline Float round_to_even(Float v) { return vrndnq_f32(v); }
static inline Float absolute(Float v) { return vabsq_f32(v); }
// where a < b ? x : y
static inline Float select_less(Float a, Float b, Float x, Float y) {
  return vbslq_f32(vcltq_f32(a, b), x, y);
}
static inline Float copy_sign(Float magnitude, Float sign) {
  return vbslq_f32(vdupq_n_u32(0x80000000U), sign, magnitude);
}
// x 2^n for integral n; overflows to infinity, underflows gradually. Two steps, because 2^n itself may not
// fit.
static inline Float scale_by_power(Float x, Float n) {
  const Int whole = vcvtnq_s32_f32(n);
  const Int half = vshrq_n_s32(whole, 1);
  const Int bias = vdupq_n_s32(127);
  const Float first = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
  const Float second = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vsubq_s32(whole, half), bias), 23));
  return multiply(multiply(x, first), second);
}

// Both fold the vector in halves: lane i with i + 2, then 1.
static inline float sum_lanes(Float v) {
  const float32x2_t two = vadd_f32(vget_low_f32(v), vget_high_f32(v));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
static inline float maximum_lane(Float v) { return vmaxvq_f32(v); }

// sum_lanes of four vectors, in the same order of additions.
static inline Float sum_lanes_of_four(Float a, Float b, Float c, Float d) {
  const float32x4_t ab = vaddq_f32(vcombine_f32(vget_low_f32(a), vget_low_f32(b)),
                                   vcombine_f32(vget_high_f32(a), vget_high_f32(b)));
  const float32x4_t cd = vaddq_f32(vcombine_f32(vget_low_f32(c), vget_low_f32(d)),
                                   vcombine_f32(vget_high_f32(c), vget_high_f32(d)));
  return vaddq_f32(vuzp1q_f32(ab, cd), vuzp2q_f32(ab, cd));
}
static inline void store_four(float* p, Float v) { store(p, v); }
static inline Float load_four(const float* p) { return load(p); }
static inline Float add_four(Float a, Float b) { return add(a, b); }

static inline Int broadcast_int(std::int32_t value) { return vdupq_n_s32(value); }
static inline std::uint32_t load_word(const std::byte* p) {
  std::uint32_t word = 0;
  __builtin_memcpy(&word, p, sizeof(word));
  return word;
}
// kLanes bytes, each widened to a lane.
static inline Int load_bytes(const std::byte* p) {
  const uint8x8_t bytes = vcreate_u8(load_word(p));
  return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))));
}
static inline Int load_signed_bytes(const std::byte* p) {
  const int8x8_t bytes = vcreate_s8(load_word(p));
  return vmovl_s16(vget_low_s16(vmovl_s8(bytes)));
}
static inline Int bit_and(Int v, std::int32_t mask) { return vandq_s32(v, vdupq_n_s32(mask)); }
static inline Int bit_or(Int a, Int b) { return vorrq_s32(a, b); }
// Left by `bits`, or right (zeros come in) where it is negative.
static inline Int shift_bits(Int v, int bits) {
  return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(v), vdupq_n_s32(bits)));
}
static inline Int shift_right(Int v, unsigned bits) { return shift_bits(v, -static_cast<int>(bits)); }
static inline Int shift_left(Int v, unsigned bits) { return shift_bits(v, static_cast<int>(bits)); }
static inline Float to_float(Int v) { return vcvtq_f32_s32(v); }

static inline Float load_f16(const std::byte* p) {
  std::uint64_t halves = 0;
  __builtin_memcpy(&halves, p, sizeof(halves));
  return vcvt_f32_f16(vreinterpret_f16_u16(vcreate_u16(halves)));
}
static inline Float load_bf16(const std::byte* p) {
  std::uint64_t halves = 0;
  __builtin_memcpy(&halves, p, sizeof(halves));
  return vreinterpretq_f32_u32(vshll_n_u16(vcreate_u16(halves), 16));
}
static inline void store_halves(std::byte* p, uint16x4_t v) {
  const std::uint64_t halves = vget_lane_u64(vreinterpret_u64_u16(v), 0);
  __builtin_memcpy(p, &halves, sizeof(halves));
}
static inline void store_f16(std::byte* p, Float v) {
  store_halves(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}
// The upper halves of the lanes.
static inline void store_upper_halves(std::byte* p, Int v) {
  store_halves(p, vshrn_n_u32(vreinterpretq_u32_s32(v), 16));
}
static inline Int bits_of(Float v) { return vreinterpretq_s32_f32(v); }
static inline Int add_int(Int a, Int b) { return vaddq_s32(a, b); }
// where v is NaN ? x : y
static inline Int select_nan(Float v, Int x, Int y) { return vbslq_s32(vceqq_f32(v, v), y, x); }

// One f16 as a scalar.
static inline float load_one_f16(const std::byte* p) {
  std::uint16_t half = 0;
  __builtin_memcpy(&half, p, sizeof(half));
  return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half))), 0);
}
// One or two f16 at p as float32.
template <std::int64_t kCount>
static inline void widen_scales(const std::byte* p, float* target) {
  for (std::int64_t i = 0; i < kCount; ++i) target[i] = load_one_f16(p + 2 * i);
}
// d q + m for the sixteen nibbles q.
struct AffineNibbles {
  Float d;
  Float m;
};
static inline AffineNibbles affine_nibbles(Float d, Float m) { return {d, m}; }
static inline Float low_nibbles(AffineNibbles v, Int bytes) {
  return multiply_add(to_float(bit_and(bytes, 15)), v.d, v.m);
}
static inline Float high_nibbles(AffineNibbles v, Int bytes) {
  return multiply_add(to_float(shift_right(bytes, 4)), v.d, v.m);
}
// d (q - 8)
static inline AffineNibbles centred_nibbles(Float d) { return {d, multiply(d, broadcast(-8.0F))}; }
// d level[q]
struct ScaledLevels {
  const float* levels;
  Float d;
};
static inline ScaledLevels scaled_levels(const float* levels, Float d) { return {levels, d}; }
static inline Float low_nibbles(ScaledLevels v, Int bytes) {
  alignas(16) std::int32_t index[kLanes];
  vst1q_s32(index, bit_and(bytes, 15));
  const Float level = {v.levels[index[0]], v.levels[index[1]], v.levels[index[2]], v.levels[index[3]]};
  return multiply(level, v.d);
}
static inline Float high_nibbles(ScaledLevels v, Int bytes) { return low_nibbles(v, shift_right(bytes, 4)); }
// Lane i: nibbles[i] + 16 ((bits >> (first + i)) & 1).
static inline Int with_fifth_bits(Int nibbles, std::uint32_t bits, int first) {
  const uint32x4_t lane_bit = {1, 2, 4, 8};
  const uint32x4_t set = vtstq_u32(vdupq_n_u32(bits >> first), lane_bit);
  return vorrq_s32(nibbles, bit_and(vreinterpretq_s32_u32(set), 16));
}

// (a, b) pairs of neighbours, as two vectors; and back.
static inline void split_pairs(const float* p, Float& first, Float& second) {
  const float32x4x2_t pairs = vld2q_f32(p);
  first = pairs.val[0];
  second = pairs.val[1];
}
static inline void store_pairs(float* p, Float first, Float second) {
  vst2q_f32(p, float32x4x2_t{{first, second}});
}

static inline Int load_words(const std::byte* p) {
  return vreinterpretq_s32_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(p)));
}
static inline Int add_words(Int a, Int b) {
  return vreinterpretq_s32_u64(vaddq_u64(vreinterpretq_u64_s32(a), vreinterpretq_u64_s32(b)));
}
static inline std::uint64_t sum_words(Int v) { return vaddvq_u64(vreinterpretq_u64_s32(v)); }

}  // namespace tessera::kernels::neon
