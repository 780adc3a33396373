// What attention adds to the vector vocabulary of AVX-512: products of a query with the bytes of q8_0 keys.
#pragma once
#include "kernels/cpu/isa/avx512_vector.h"

namespace tessera::kernels::avx512 {

static inline Float float_of_bits(Int v) { return _mm512_castsi512_ps(v); }
// x 2^n for x in [1/2, 2] and integral n in [-125, 0].
static inline Float scale_by_exponent(Float x, Float n) { return _mm512_scalef_ps(x, n); }

// Four neighbouring elements of a key in each lane, as bytes with 128 added.
struct KeyQuads {
  Int bytes;
};
static inline KeyQuads load_quads(const std::byte* p) { return {_mm512_loadu_si512(p)}; }

// A query's quants are split as 128 high + low, both signed bytes, for the products of unsigned with signed
// bytes (VNNI).
struct QuadSums {
  Int high;
  Int low;
};
static inline QuadSums no_quads() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
// Four quants of magnitude up to 127 * 128, as the two words that add_quads takes.
static inline void pack_query(const std::int32_t* quads, std::int32_t* words) {
  std::uint32_t high = 0;
  std::uint32_t low = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const std::int32_t upper = (quads[i] + 64) >> 7;
    high |= (static_cast<std::uint32_t>(upper) & 255U) << 8 * i;
    low |= (static_cast<std::uint32_t>(quads[i] - upper * 128) & 255U) << 8 * i;
  }
  words[0] = static_cast<std::int32_t>(high);
  words[1] = static_cast<std::int32_t>(low);
}
static inline void add_quads(QuadSums& sums, KeyQuads keys, const std::int32_t* words) {
  sums.high = _mm512_dpbusd_epi32(sums.high, keys.bytes, _mm512_set1_epi32(words[0]));
  sums.low = _mm512_dpbusd_epi32(sums.low, keys.bytes, _mm512_set1_epi32(words[1]));
}
static inline Int quad_total(QuadSums sums) {
  return _mm512_add_epi32(_mm512_slli_epi32(sums.high, 7), sums.low);
}

}  // namespace tessera::kernels::avx512
