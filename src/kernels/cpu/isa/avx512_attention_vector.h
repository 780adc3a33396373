// What attention adds to the vector vocabulary of AVX-512: products of a query with the bytes of q8_0 keys.
#pragma once
#include "kernels/cpu/isa/avx512_vector.h"

namespace tessera::kernels::avx512 {

static inline Float float_of_bits(Int v) { return _mm512_castsi512_ps(v); }
// To the nearest integer.
static inline Int to_int(Float v) { return _mm512_cvtps_epi32(v); }
// The lowest byte of each lane.
static inline void store_bytes(std::byte* p, Int v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(v));
}
// x 2^n for x in [1/2, 2] and integral n in [-125, 0].
static inline Float scale_by_exponent(Float x, Float n) { return _mm512_scalef_ps(x, n); }

// Four neighbouring elements of a key in each lane, as bytes with 128 added.
struct KeyQuads {
  Int bytes;
};
static inline KeyQuads load_quads(const std::byte* p) { return {_mm512_loadu_si512(p)}; }

// A query's quants are split as 128 high + low, both signed bytes, for the products of unsigned with signed
// bytes (VNNI): the highs are summed first, then the lows on top of 128 times that.
inline constexpr int kQuadPhases = 2;
static inline Int next_phase(Int sum) { return _mm512_slli_epi32(sum, 7); }
template <int kPhase>
static inline Int add_quads(Int sum, KeyQuads keys, std::int32_t high, std::int32_t low) {
  return _mm512_dpbusd_epi32(sum, keys.bytes, _mm512_set1_epi32(kPhase == 0 ? high : low));
}
// 16 quants of magnitude up to 127 * 128, as the words of four quads: the highs from `words` on, the lows
// `apart` further.
static inline void pack_query(Int quants, std::int32_t* words, std::int64_t apart) {
  const Int high = _mm512_srai_epi32(_mm512_add_epi32(quants, _mm512_set1_epi32(64)), 7);
  const Int low = _mm512_sub_epi32(quants, _mm512_slli_epi32(high, 7));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(words), _mm512_cvtepi32_epi8(high));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(words + apart), _mm512_cvtepi32_epi8(low));
}

}  // namespace tessera::kernels::avx512
