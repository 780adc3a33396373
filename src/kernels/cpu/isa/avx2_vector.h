// The vector vocabulary of AVX2 (with FMA and F16C) that the shared loops in kernels/cpu are written in.
// Everything is internal to this ISA's namespace and its own translation units: see "Build facts" in
// ARCHITECTURE.md.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define TESSERA_ISA avx2

namespace tessera::kernels::avx2 {

using Float = __m256;
using Int = __m256i;

inline constexpr std::int64_t kLanes = 8;
// Register tile of the linear kernels: kTileRows x kTileTokens sums, 3 inputs and 1 weight in 16 registers.
inline constexpr int kTileRows = 4;
inline constexpr int kTileTokens = 3;

static inline Float zero() { return _mm256_setzero_ps(); }
static inline Float broadcast(float value) { return _mm256_set1_ps(value); }
static inline Float load(const float* p) { return _mm256_loadu_ps(p); }
static inline void store(float* p, Float v) { _mm256_storeu_ps(p, v); }
static inline Int first_lanes(std::int64_t count) {
  const Int lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<std::int32_t>(count)), lane);
}
// Assembly, because g++ takes a function that only prefetches for one without effect, and drops the call.
static inline void prefetch(const std::byte* p) { __asm__ volatile("prefetcht0 %0" : : "m"(*p)); }
// The first `count` < kLanes elements; the other lanes are zero, and their memory is not touched.
static inline Float load_first(const float* p, std::int64_t count) {
  return _mm256_maskload_ps(p, first_lanes(count));
}
static inline void store_first(float* p, Float v, std::int64_t count) {
  _mm256_maskstore_ps(p, first_lanes(count), v);
}
// Lanes from `count` on replaced by `filler`.
static inline Float keep_first(Float v, std::int64_t count, float filler) {
  return _mm256_blendv_ps(_mm256_set1_ps(filler), v, _mm256_castsi256_ps(first_lanes(count)));
}

static inline Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
static inline Float subtract(Float a, Float b) { return _mm256_sub_ps(a, b); }
static inline Float multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
static inline Float divide(Float a, Float b) { return _mm256_div_ps(a, b); }
static inline Float multiply_add(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
static inline Float subtract_product(Float a, Float b, Float c) {
  return _mm256_fnmadd_ps(a, b, c);
}  // c - a b
// Where an operand is NaN the result is `b`.
static inline Float maximum(Float a, Float b) { return _mm256_max_ps(a, b); }
static inline Float minimum(Float a, Float b) { return _mm256_min_ps(a, b); }
static inline Float round_to_even(Float v) {
  return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline Float square_root(Float v) { return _mm256_sqrt_ps(v); }
static inline Float absolute(Float v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), v); }
// where a < b ? x : y
static inline Float select_less(Float a, Float b, Float x, Float y) {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline Float copy_sign(Float magnitude, Float sign) {
  const Float bit = _mm256_set1_ps(-0.0F);
  return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude), _mm256_and_ps(bit, sign));
}
// x 2^n for integral n; overflows to infinity, underflows gradually. Two steps, because 2^n itself may not
// fit.
static inline Float scale_by_power(Float x, Float n) {
  const Int whole = _mm256_cvtps_epi32(n);
  const Int half = _mm256_srai_epi32(whole, 1);
  const Int rest = _mm256_sub_epi32(whole, half);
  const Int bias = _mm256_set1_epi32(127);
  const Float first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
  const Float second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
  return multiply(multiply(x, first), second);
}

// Both fold the vector in halves: lane i with i + 4, then 2, 1.
static inline float sum_lanes(Float v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
static inline float maximum_lane(Float v) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// sum_lanes of four vectors, in the same order of additions.
static inline __m128 sum_lanes_of_four(Float a, Float b, Float c, Float d) {
  const Float ab = _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  const Float cd = _mm256_add_ps(_mm256_permute2f128_ps(c, d, 0x20), _mm256_permute2f128_ps(c, d, 0x31));
  // Each half: (x0 x1 | y0 y1) + (x2 x3 | y2 y3), then the neighbours.
  const Float two = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
  const Float one = _mm256_add_ps(_mm256_shuffle_ps(two, two, 0x88), _mm256_shuffle_ps(two, two, 0xDD));
  // Halves now hold (a c a c) and (b d b d).
  return _mm_unpacklo_ps(_mm256_castps256_ps128(one), _mm256_extractf128_ps(one, 1));
}
static inline void store_four(float* p, __m128 v) { _mm_storeu_ps(p, v); }
static inline __m128 load_four(const float* p) { return _mm_loadu_ps(p); }
static inline __m128 add_four(__m128 a, __m128 b) { return _mm_add_ps(a, b); }

static inline Int broadcast_int(std::int32_t value) { return _mm256_set1_epi32(value); }
// kLanes bytes, each widened to a lane.
static inline Int load_bytes(const std::byte* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
static inline Int load_signed_bytes(const std::byte* p) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
static inline Int bit_and(Int v, std::int32_t mask) { return _mm256_and_si256(v, _mm256_set1_epi32(mask)); }
static inline Int bit_or(Int a, Int b) { return _mm256_or_si256(a, b); }
static inline Int shift_right(Int v, unsigned bits) { return _mm256_srli_epi32(v, static_cast<int>(bits)); }
static inline Int shift_left(Int v, unsigned bits) { return _mm256_slli_epi32(v, static_cast<int>(bits)); }
// Left by `bits`, or right where it is negative; a constant once loops are unrolled.
static inline Int shift_bits(Int v, int bits) {
  return bits >= 0 ? shift_left(v, static_cast<unsigned>(bits))
                   : shift_right(v, static_cast<unsigned>(-bits));
}
static inline Float to_float(Int v) { return _mm256_cvtepi32_ps(v); }

static inline Float load_f16(const std::byte* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
static inline Float load_bf16(const std::byte* p) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
static inline void store_f16(std::byte* p, Float v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
// The upper halves of the lanes.
static inline void store_upper_halves(std::byte* p, Int v) {
  const Int upper = _mm256_srli_epi32(v, 16);
  const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
}
static inline Int bits_of(Float v) { return _mm256_castps_si256(v); }
static inline Int add_int(Int a, Int b) { return _mm256_add_epi32(a, b); }
// where v is NaN ? x : y
static inline Int select_nan(Float v, Int x, Int y) {
  return _mm256_blendv_epi8(y, x, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
}

// One or two f16 at p as float32. Eight bytes are read: the conversion from memory then needs no shuffle.
template <std::int64_t kCount>
static inline void widen_scales(const std::byte* p, float* target) {
  const __m128 widened = _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  if constexpr (kCount == 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(target), widened);
  } else {
    _mm_store_ss(target, widened);
  }
}
// One f16 as a scalar.
static inline float load_one_f16(const std::byte* p) {
  std::uint16_t half = 0;
  __builtin_memcpy(&half, p, sizeof(half));
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}
// d q + m for the sixteen nibbles q; arithmetic, because a table of sixteen takes two registers and three
// operations.
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
  Float low;
  Float high;
};
static inline ScaledLevels scaled_levels(const float* levels, Float d) {
  return {multiply(load(levels), d), multiply(load(levels + kLanes), d)};
}
static inline Float low_nibbles(ScaledLevels v, Int bytes) {
  const Float low = _mm256_permutevar8x32_ps(v.low, bytes);  // reads three bits of its index
  const Float high = _mm256_permutevar8x32_ps(v.high, bytes);
  return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(bytes, 28)));  // by bit 3
}
static inline Float high_nibbles(ScaledLevels v, Int bytes) { return low_nibbles(v, shift_right(bytes, 4)); }
// Lane i: nibbles[i] + 16 ((bits >> (first + i)) & 1).
static inline Int with_fifth_bits(Int nibbles, std::uint32_t bits, int first) {
  const Int lane_bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const Int all = _mm256_set1_epi32(static_cast<std::int32_t>(bits >> first));
  const Int set = _mm256_cmpeq_epi32(_mm256_and_si256(all, lane_bit), lane_bit);
  return _mm256_or_si256(nibbles, bit_and(set, 16));
}

// (a, b) pairs of neighbours, as two vectors; and back.
static inline void split_pairs(const float* p, Float& first, Float& second) {
  const Float low = load(p);
  const Float high = load(p + kLanes);
  const Float left = _mm256_permute2f128_ps(low, high, 0x20);
  const Float right = _mm256_permute2f128_ps(low, high, 0x31);
  first = _mm256_shuffle_ps(left, right, 0x88);
  second = _mm256_shuffle_ps(left, right, 0xDD);
}
static inline void store_pairs(float* p, Float first, Float second) {
  const Float low = _mm256_unpacklo_ps(first, second);
  const Float high = _mm256_unpackhi_ps(first, second);
  store(p, _mm256_permute2f128_ps(low, high, 0x20));
  store(p + kLanes, _mm256_permute2f128_ps(low, high, 0x31));
}

static inline Int load_words(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
static inline Int add_words(Int a, Int b) { return _mm256_add_epi64(a, b); }
static inline std::uint64_t sum_words(Int v) {
  const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(two)) +
         static_cast<std::uint64_t>(_mm_extract_epi64(two, 1));
}

}  // namespace tessera::kernels::avx2
