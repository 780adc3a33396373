// The vector vocabulary of AVX-512 (F, BW, DQ, VL) that the shared loops in kernels/cpu are written in.
// Everything is internal to this ISA's namespace and its own translation units: see "Build facts" in
// ARCHITECTURE.md.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define TESSERA_ISA avx512

namespace tessera::kernels::avx512 {

using Float = __m512;
using Int = __m512i;

inline constexpr std::int64_t kLanes = 16;
// Register tile of the linear kernels: kTileRows x kTileTokens sums, 6 inputs and 1 weight in 32 registers.
inline constexpr int kTileRows = 4;
inline constexpr int kTileTokens = 6;

static inline Float zero() { return _mm512_setzero_ps(); }
static inline Float broadcast(float value) { return _mm512_set1_ps(value); }
static inline Float load(const float* p) { return _mm512_loadu_ps(p); }
static inline void store(float* p, Float v) { _mm512_storeu_ps(p, v); }
static inline __mmask16 first_lanes(std::int64_t count) { return static_cast<__mmask16>((1U << count) - 1U); }
// Assembly, because g++ takes a function that only prefetches for one without effect, and drops the call.
static inline void prefetch(const std::byte* p) { __asm__ volatile("prefetcht0 %0" : : "m"(*p)); }
// The first `count` < kLanes elements; the other lanes are zero, and their memory is not touched.
static inline Float load_first(const float* p, std::int64_t count) {
  return _mm512_maskz_loadu_ps(first_lanes(count), p);
}
static inline void store_first(float* p, Float v, std::int64_t count) {
  _mm512_mask_storeu_ps(p, first_lanes(count), v);
}
// Lanes from `count` on replaced by `filler`.
static inline Float keep_first(Float v, std::int64_t count, float filler) {
  return _mm512_mask_mov_ps(_mm512_set1_ps(filler), first_lanes(count), v);
}

static inline Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
static inline Float subtract(Float a, Float b) { return _mm512_sub_ps(a, b); }
static inline Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
static inline Float divide(Float a, Float b) { return _mm512_div_ps(a, b); }
static inline Float multiply_add(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
static inline Float subtract_product(Float a, Float b, Float c) {
  return _mm512_fnmadd_ps(a, b, c);
}  // c - a b
// Where an operand is NaN the result is `b`.
static inline Float maximum(Float a, Float b) { return _mm512_max_ps(a, b); }
static inline Float minimum(Float a, Float b) { return _mm512_min_ps(a, b); }
static inline Float round_to_even(Float v) { return _mm512_roundscale_ps(v, 8); }
static inline Float square_root(Float v) { return _mm512_sqrt_ps(v); }
static inline Float absolute(Float v) { return _mm512_abs_ps(v); }
// where a < b ? x : y
static inline Float select_less(Float a, Float b, Float x, Float y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
static inline Float copy_sign(Float magnitude, Float sign) {
  return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(
      _mm512_set1_epi32(INT32_MIN), _mm512_castps_si512(sign), _mm512_castps_si512(magnitude), 0xCA));
}
// x 2^n for integral n; overflows to infinity, underflows gradually.
static inline Float scale_by_power(Float x, Float n) { return _mm512_scalef_ps(x, n); }

// Both fold the vector in halves: lane i with i + 8, then 4, 2, 1.
static inline float sum_lanes(Float v) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
static inline float maximum_lane(Float v) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// sum_lanes of four vectors, in the same order of additions.
static inline __m128 sum_lanes_of_four(Float a, Float b, Float c, Float d) {
  const Float ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
  const Float cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xEE));
  // Quarters: a b c d, four sums each; then two, then one, copied to all lanes of the quarter.
  const Float four = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xDD));
  const Float two = _mm512_add_ps(four, _mm512_permute_ps(four, 0x4E));
  const Float one = _mm512_add_ps(two, _mm512_permute_ps(two, 0xB1));
  return _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, one));
}
static inline void store_four(float* p, __m128 v) { _mm_storeu_ps(p, v); }
static inline __m128 load_four(const float* p) { return _mm_loadu_ps(p); }
static inline __m128 add_four(__m128 a, __m128 b) { return _mm_add_ps(a, b); }

static inline Int broadcast_int(std::int32_t value) { return _mm512_set1_epi32(value); }
// kLanes bytes, each widened to a lane.
static inline Int load_bytes(const std::byte* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
static inline Int load_signed_bytes(const std::byte* p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
static inline Int bit_and(Int v, std::int32_t mask) { return _mm512_and_si512(v, _mm512_set1_epi32(mask)); }
static inline Int bit_or(Int a, Int b) { return _mm512_or_si512(a, b); }
static inline Int shift_right(Int v, unsigned bits) { return _mm512_srli_epi32(v, bits); }
static inline Int shift_left(Int v, unsigned bits) { return _mm512_slli_epi32(v, bits); }
// Left by `bits`, or right where it is negative; a constant once loops are unrolled.
static inline Int shift_bits(Int v, int bits) {
  return bits >= 0 ? shift_left(v, static_cast<unsigned>(bits))
                   : shift_right(v, static_cast<unsigned>(-bits));
}
static inline Float to_float(Int v) { return _mm512_cvtepi32_ps(v); }

static inline Float load_f16(const std::byte* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
static inline Float load_bf16(const std::byte* p) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
static inline void store_f16(std::byte* p, Float v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
// The upper halves of the lanes.
static inline void store_upper_halves(std::byte* p, Int v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16)));
}
static inline Int bits_of(Float v) { return _mm512_castps_si512(v); }
static inline Int add_int(Int a, Int b) { return _mm512_add_epi32(a, b); }
// where v is NaN ? x : y
static inline Int select_nan(Float v, Int x, Int y) {
  return _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), y, x);
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
// d q + m for the sixteen nibbles q, looked up: one fused operation a block instead of one a vector.
struct AffineNibbles {
  Float values;
};
static inline AffineNibbles affine_nibbles(Float d, Float m) {
  const Float q = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return {multiply_add(q, d, m)};
}
// d (q - 8)
static inline AffineNibbles centred_nibbles(Float d) {
  return {multiply(_mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7), d)};
}
// d level[q]: likewise.
struct ScaledLevels {
  Float values;
};
static inline ScaledLevels scaled_levels(const float* levels, Float d) { return {multiply(load(levels), d)}; }
// By the low or the high nibble of each lane's byte; the permutation reads four bits of its index and no
// more.
template <typename Values>
static inline Float low_nibbles(Values v, Int bytes) {
  return _mm512_permutexvar_ps(bytes, v.values);
}
template <typename Values>
static inline Float high_nibbles(Values v, Int bytes) {
  return _mm512_permutexvar_ps(shift_right(bytes, 4), v.values);
}
// Lane i: nibbles[i] + 16 ((bits >> (first + i)) & 1).
static inline Int with_fifth_bits(Int nibbles, std::uint32_t bits, int first) {
  const auto mask = static_cast<__mmask16>(bits >> first);
  return _mm512_mask_or_epi32(nibbles, mask, nibbles, _mm512_set1_epi32(16));
}

// (a, b) pairs of neighbours, as two vectors; and back.
static inline void split_pairs(const float* p, Float& first, Float& second) {
  const Int even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const Float low = load(p);
  const Float high = load(p + kLanes);
  first = _mm512_permutex2var_ps(low, even, high);
  second = _mm512_permutex2var_ps(low, _mm512_add_epi32(even, _mm512_set1_epi32(1)), high);
}
static inline void store_pairs(float* p, Float first, Float second) {
  const Int low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  store(p, _mm512_permutex2var_ps(first, low, second));
  store(p + kLanes, _mm512_permutex2var_ps(first, _mm512_add_epi32(low, _mm512_set1_epi32(8)), second));
}

static inline Int load_words(const std::byte* p) { return _mm512_loadu_si512(p); }
static inline Int add_words(Int a, Int b) { return _mm512_add_epi64(a, b); }
static inline std::uint64_t sum_words(Int v) {
  return static_cast<std::uint64_t>(_mm512_reduce_add_epi64(v));
}

}  // namespace tessera::kernels::avx512
