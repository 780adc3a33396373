// Dot products of unsigned weight bytes with quantised inputs in AVX-512 VNNI, for
// kernels/cpu/packed_linear.h.
#pragma once
#include "kernels/cpu/isa/avx512_vector.h"
#include "kernels/cpu/unroll.h"
#include "kernels/packed_layout.h"

namespace tessera::kernels::avx512 {

// Tiles of packed floats: 24 sums, 3 vectors of weights and 1 input in 32 registers.
inline constexpr int kFloatVectors = 3;
inline constexpr int kFloatTokens = 8;
inline constexpr int kSingleVectors = 3;

// Tiles of packed words: 24 integer sums, 3 vectors of weights and 1 input in 32 registers; float sums stay
// in memory between blocks.
inline constexpr int kWordPanels = 3;
inline constexpr int kWordTokens = 8;

// kLanes rows x 4 columns of weights without sign.
TESSERA_INLINE Int load_group(const std::byte* p) { return _mm512_loadu_si512(p); }
TESSERA_INLINE Int low_nibbles_of(Int bytes) { return _mm512_and_si512(bytes, _mm512_set1_epi8(15)); }
TESSERA_INLINE Int high_nibbles_of(Int bytes) {
  return _mm512_and_si512(_mm512_srli_epi16(bytes, 4), _mm512_set1_epi8(15));
}
// bytes + `value` where a bit of the group's mask is set.
TESSERA_INLINE Int add_masked(Int bytes, const std::byte* mask, char value) {
  std::uint64_t bits = 0;
  __builtin_memcpy(&bits, mask, sizeof(bits));
  return _mm512_mask_add_epi8(bytes, static_cast<__mmask64>(bits), bytes, _mm512_set1_epi8(value));
}
// Bits [2 g, 2 g + 2) of each byte, moved up by `shift`.
template <int kShift>
TESSERA_INLINE Int pairs_of(Int bytes, int g) {
  const int right = 2 * g - kShift;
  const Int moved = right >= 0 ? _mm512_srli_epi16(bytes, static_cast<unsigned>(right))
                               : _mm512_slli_epi16(bytes, static_cast<unsigned>(-right));
  return _mm512_and_si512(moved, _mm512_set1_epi8(static_cast<char>(3 << kShift)));
}
TESSERA_INLINE Int or_bytes(Int a, Int b) { return _mm512_or_si512(a, b); }
// table[b] for bytes b < 16.
TESSERA_INLINE Int look_up(const std::uint8_t* table, Int bytes) {
  const __m128i sixteen = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(sixteen), bytes);
}

TESSERA_INLINE Int broadcast_word(const std::byte* p) {
  std::int32_t word = 0;
  __builtin_memcpy(&word, p, sizeof(word));
  return _mm512_set1_epi32(word);
}

// Inputs as words q = 128 high + low: all high halves of a row, then all low ones.
struct WordInputs {
  struct Tile {  // 16 integer and 8 float sums
    static constexpr int kTileVectors = 2;
    static constexpr int kTileTokens = 4;
    static constexpr int kFewTokens = 8;
  };
  struct Four {
    Int high;
    Int low;
  };
  struct Sum {
    Int high;
    Int low;
  };
  TESSERA_INLINE static Four load(const std::byte* values, std::int64_t k, std::int64_t columns) {
    return {broadcast_word(values + k), broadcast_word(values + columns + k)};
  }
  TESSERA_INLINE static Sum start(Int initial) { return {_mm512_setzero_si512(), initial}; }
  TESSERA_INLINE static void add(Sum& sum, Int weights, const Four& inputs) {
    sum.high = _mm512_dpbusd_epi32(sum.high, weights, inputs.high);
    sum.low = _mm512_dpbusd_epi32(sum.low, weights, inputs.low);
  }
  TESSERA_INLINE static Int finish(const Sum& sum) {
    return _mm512_add_epi32(_mm512_slli_epi32(sum.high, 7), sum.low);
  }
};

// sum + the products of four bytes a lane.
TESSERA_INLINE Int add_byte_products(Int sum, Int without_sign, Int with_sign) {
  return _mm512_dpbusd_epi32(sum, without_sign, with_sign);
}

// sum + the products of two words a lane.
TESSERA_INLINE Int add_word_products(Int sum, Int a, Int b) { return _mm512_dpwssd_epi32(sum, a, b); }
// The low words of each lane: those of `even` below those of `odd`.
TESSERA_INLINE Int pair_words(Int even, Int odd) {
  return _mm512_mask_blend_epi16(0xAAAAAAAAU, even, _mm512_slli_epi32(odd, 16));
}
TESSERA_INLINE Int subtract_int(Int a, Int b) { return _mm512_sub_epi32(a, b); }
TESSERA_INLINE Float float_from_bits(Int v) { return _mm512_castsi512_ps(v); }
TESSERA_INLINE void store_words(std::byte* target, const Int (&integers)[2]) {
  TESSERA_UNROLL
  for (int v = 0; v < 2; ++v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + 32 * v), _mm512_cvtepi32_epi16(integers[v]));
  }
}

TESSERA_INLINE void store_sixteen_bytes(std::byte* p, Int v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
}
// Rounds to nearest even; what is not a number becomes zero.
TESSERA_INLINE Int round_to_int(Float v) {
  return _mm512_maskz_cvtps_epi32(_mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v);
}
TESSERA_INLINE std::int32_t sum_ints(Int v) { return _mm512_reduce_add_epi32(v); }
// The largest magnitude of 32 elements; a NaN is larger than everything.
TESSERA_INLINE float largest_magnitude(const Float (&values)[2]) {
  const Int mask = _mm512_set1_epi32(0x7fffffff);
  const Int larger = _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(values[0]), mask),
                                      _mm512_and_si512(_mm512_castps_si512(values[1]), mask));
  const auto bits = static_cast<std::int32_t>(_mm512_reduce_max_epu32(larger));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
}

// The integers of 32 elements into a quantised row.
TESSERA_INLINE void store_integers(std::byte* row, std::int64_t k, std::int64_t columns,
                                   const Int (&integers)[2]) {
  TESSERA_UNROLL
  for (int v = 0; v < 2; ++v) {
    std::byte* target = row + k + 16 * v;
    const Int high = _mm512_srai_epi32(_mm512_add_epi32(integers[v], _mm512_set1_epi32(64)), 7);
    store_sixteen_bytes(target, high);
    store_sixteen_bytes(target + columns, _mm512_sub_epi32(integers[v], _mm512_slli_epi32(high, 7)));
  }
}

}  // namespace tessera::kernels::avx512
