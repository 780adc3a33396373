// Dot products of unsigned weight bytes with quantised inputs in AVX2, for kernels/cpu/packed_linear.h.
#pragma once
#include "kernels/cpu/isa/avx2_vector.h"
#include "kernels/cpu/unroll.h"
#include "kernels/packed_layout.h"

namespace tessera::kernels::avx2 {

// Tiles of packed floats: 12 sums, 2 vectors of weights and 1 input in 16 registers.
inline constexpr int kFloatVectors = 2;
inline constexpr int kFloatTokens = 6;
inline constexpr int kSingleVectors = 6;

// Tiles of packed words: 10 integer sums, 2 vectors of weights, 1 input and products in 16 registers; float
// sums stay in memory between blocks.
inline constexpr int kWordPanels = 1;
inline constexpr int kWordTokens = 5;

// kLanes rows x 4 columns of weights without sign: half a group.
TESSERA_INLINE Int load_group(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
TESSERA_INLINE Int low_nibbles_of(Int bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi8(15)); }
TESSERA_INLINE Int high_nibbles_of(Int bytes) {
  return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
}
// bytes + `value` where a bit of the 32 at `mask` is set: each byte of the mask is copied to eight lanes,
// which test a bit each.
TESSERA_INLINE Int add_masked(Int bytes, const std::byte* mask, char value) {
  std::int32_t bits = 0;
  __builtin_memcpy(&bits, mask, sizeof(bits));
  const Int copies =
      _mm256_shuffle_epi8(_mm256_set1_epi32(bits),
                          _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  const Int own = _mm256_set1_epi64x(static_cast<std::int64_t>(0x8040201008040201U));
  const Int set = _mm256_cmpeq_epi8(_mm256_and_si256(copies, own), own);
  return _mm256_or_si256(bytes, _mm256_and_si256(set, _mm256_set1_epi8(value)));
}
// Bits [2 g, 2 g + 2) of each byte, moved up by `shift`.
template <int kShift>
TESSERA_INLINE Int pairs_of(Int bytes, int g) {
  const int right = 2 * g - kShift;
  const Int moved = right >= 0 ? _mm256_srli_epi16(bytes, right) : _mm256_slli_epi16(bytes, -right);
  return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(3 << kShift)));
}
TESSERA_INLINE Int or_bytes(Int a, Int b) { return _mm256_or_si256(a, b); }
// table[b] for bytes b < 16.
TESSERA_INLINE Int look_up(const std::uint8_t* table, Int bytes) {
  const __m128i sixteen = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(sixteen), bytes);
}

TESSERA_INLINE Int broadcast_word(const std::byte* p) {
  std::int32_t word = 0;
  __builtin_memcpy(&word, p, sizeof(word));
  return _mm256_set1_epi32(word);
}

// Inputs as 16-bit integers, each four columns in the order 0 2 1 3: a row's four weight bytes split into the
// even and the odd ones by a mask and a shift, and each half meets its pair of inputs in one instruction.
struct WordInputs {
  struct Tile {  // with many tokens: integer and float sums, 2 vectors of weights, 1 input, in 16 registers
    static constexpr int kTileVectors = 2;
    static constexpr int kTileTokens = 4;
    static constexpr int kFewTokens = 4;
    static constexpr int kWidenedFrom = 12;  // tokens that pay for widening a panel
  };
  struct Four {
    Int even;
    Int odd;
  };
  struct Sum {
    Int products;
  };
  TESSERA_INLINE static Four load(const std::byte* values, std::int64_t k, std::int64_t /*columns*/) {
    return {broadcast_word(values + 2 * k), broadcast_word(values + 2 * k + 4)};
  }
  using Words = Four;  // of weights
  TESSERA_INLINE static Words widen(Int weights) {
    return {_mm256_and_si256(weights, _mm256_set1_epi16(255)), _mm256_srli_epi16(weights, 8)};
  }
  TESSERA_INLINE static void add_widened(Int& sum, const Words& weights, const Four& inputs) {
    const Int even = _mm256_madd_epi16(weights.even, inputs.even);
    const Int odd = _mm256_madd_epi16(weights.odd, inputs.odd);
    sum = _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
    // Pins the addition here: g++ would keep every product of a block for its end, in memory.
    __asm__("" : "+x"(sum));
  }
  TESSERA_INLINE static Sum start(Int initial) { return {initial}; }
  TESSERA_INLINE static void add(Sum& sum, Int weights, const Four& inputs) {
    add_widened(sum.products, widen(weights), inputs);
  }
  TESSERA_INLINE static Int finish(Sum sum) { return sum.products; }
};

// sum + the products of four bytes a lane: the three instructions that AVX2 needs.
TESSERA_INLINE Int add_byte_products(Int sum, Int without_sign, Int with_sign) {
  const Int pairs = _mm256_maddubs_epi16(without_sign, with_sign);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// sum + the products of two words a lane.
TESSERA_INLINE Int add_word_products(Int sum, Int a, Int b) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
  __asm__("" : "+x"(sum));  // as in add_widened
  return sum;
}
// The low words of each lane: those of `even` below those of `odd`.
TESSERA_INLINE Int pair_words(Int even, Int odd) {
  return _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xAA);
}
TESSERA_INLINE Int subtract_int(Int a, Int b) { return _mm256_sub_epi32(a, b); }
TESSERA_INLINE Float float_from_bits(Int v) { return _mm256_castsi256_ps(v); }
TESSERA_INLINE void store_words(std::byte* target, const Int (&integers)[4]) {
  TESSERA_UNROLL
  for (int v = 0; v < 4; v += 2) {
    // Packing works within halves of 128 bits: the quarters come out as 0 2 1 3.
    const Int packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(integers[v], integers[v + 1]), 0xD8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + 16 * v), packed);
  }
}

// Rounds to nearest even; what is not a number becomes zero.
TESSERA_INLINE Int round_to_int(Float v) {
  const Float number = _mm256_cmp_ps(v, v, _CMP_ORD_Q);
  return _mm256_and_si256(_mm256_cvtps_epi32(v), _mm256_castps_si256(number));
}
TESSERA_INLINE std::int32_t sum_ints(Int v) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
}
// The largest magnitude of 32 elements; a NaN is larger than everything.
TESSERA_INLINE float largest_magnitude(const Float (&values)[4]) {
  const Int mask = _mm256_set1_epi32(0x7fffffff);
  Int larger = _mm256_and_si256(_mm256_castps_si256(values[0]), mask);
  TESSERA_UNROLL
  for (int v = 1; v < 4; ++v) {
    larger = _mm256_max_epi32(larger, _mm256_and_si256(_mm256_castps_si256(values[v]), mask));
  }
  const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(larger), _mm256_extracti128_si256(larger, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xB1))));
}

// The integers of 32 elements into a quantised row.
TESSERA_INLINE void store_integers(std::byte* row, std::int64_t k, std::int64_t /*columns*/,
                                   const Int (&integers)[4]) {
  TESSERA_UNROLL
  for (int v = 0; v < 4; v += 2) {
    // Packing works within halves of 128 bits: the quarters come out as 0 2 1 3.
    const Int packed = _mm256_packs_epi32(integers[v], integers[v + 1]);
    const Int ordered = _mm256_permute4x64_epi64(packed, 0xD8);
    const Int swapped = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(ordered, 0xD8), 0xD8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + 2 * k + 16 * v), swapped);
  }
}

}  // namespace tessera::kernels::avx2
