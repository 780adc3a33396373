// What attention adds to the vector vocabulary of AVX2: products of a query with the bytes of q8_0 keys.
#pragma once
#include "kernels/cpu/isa/avx2_vector.h"

namespace tessera::kernels::avx2 {

static inline Float float_of_bits(Int v) { return _mm256_castsi256_ps(v); }
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

struct QuadSums {
  Int even;
  Int odd;
};
static inline QuadSums no_quads() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
// Four quants of magnitude up to 127 * 128, as the two words that add_quads takes.
static inline void pack_query(const std::int32_t* quads, std::int32_t* words) {
  for (unsigned i = 0; i < 2; ++i) {
    const auto low = static_cast<std::uint32_t>(quads[i]) & 0xffffU;
    words[i] = static_cast<std::int32_t>(low | static_cast<std::uint32_t>(quads[i + 2]) << 16);
  }
}
static inline void add_quads(QuadSums& sums, KeyQuads keys, const std::int32_t* words) {
  sums.even = _mm256_add_epi32(sums.even, _mm256_madd_epi16(keys.even, _mm256_set1_epi32(words[0])));
  sums.odd = _mm256_add_epi32(sums.odd, _mm256_madd_epi16(keys.odd, _mm256_set1_epi32(words[1])));
}
static inline Int quad_total(QuadSums sums) { return _mm256_add_epi32(sums.even, sums.odd); }

}  // namespace tessera::kernels::avx2
