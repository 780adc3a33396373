// What attention adds to the vector vocabulary of AVX2: products of a query with the bytes of q8_0 keys.
#pragma once
#include "kernels/cpu/isa/avx2_vector.h"

namespace tessera::kernels::avx2 {

static inline Float float_of_bits(Int v) { return _mm256_castsi256_ps(v); }
// To the nearest integer.
static inline Int to_int(Float v) { return _mm256_cvtps_epi32(v); }
// The lowest byte of each lane, of lanes that fit in a signed byte.
static inline void store_bytes(std::byte* p, Int v) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
// x 2^n for x in [1/2, 2] and integral n in [-125, 0]: n is added to the exponent. 1.5 2^23 brings it to the
// low bits.
static inline Float scale_by_exponent(Float x, Float n) {
  const Int whole = _mm256_castps_si256(_mm256_add_ps(n, _mm256_set1_ps(0x1.8p23F)));
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(whole, 23)));
}

// Four neighbouring elements of a key in each lane, as bytes with 128 added: elements 0 and 2, and 1 and 3,
// as 16-bit numbers.
struct KeyQuads {
  Int even;
  Int odd;
};
static inline KeyQuads load_quads(const std::byte* p) {
  const Int bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm256_and_si256(bytes, _mm256_set1_epi16(255)), _mm256_srli_epi16(bytes, 8)};
}

inline constexpr int kQuadPhases = 1;
static inline Int next_phase(Int sum) { return sum; }
template <int kPhase>
static inline Int add_quads(Int sum, KeyQuads keys, std::int32_t even, std::int32_t odd) {
  const Int first = _mm256_add_epi32(sum, _mm256_madd_epi16(keys.even, _mm256_set1_epi32(even)));
  return _mm256_add_epi32(first, _mm256_madd_epi16(keys.odd, _mm256_set1_epi32(odd)));
}
// 8 quants of magnitude up to 127 * 128, as the words of two quads: elements 0 and 2 from `words` on, 1 and 3
// `apart` further.
static inline void pack_query(Int quants, std::int32_t* words, std::int64_t apart) {
  const Int later = _mm256_slli_epi32(_mm256_shuffle_epi32(quants, 0xEE), 16);
  const Int pairs = _mm256_or_si256(_mm256_and_si256(quants, _mm256_set1_epi32(0xffff)), later);
  words[0] = _mm256_extract_epi32(pairs, 0);
  words[1] = _mm256_extract_epi32(pairs, 4);
  words[apart] = _mm256_extract_epi32(pairs, 1);
  words[apart + 1] = _mm256_extract_epi32(pairs, 5);
}

}  // namespace tessera::kernels::avx2
