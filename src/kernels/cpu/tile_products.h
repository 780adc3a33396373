// Products of float32 precision from tile registers that multiply bf16 and add in float32: a number is the
// sum of bf16 parts, 8 significant bits each, cut off and not rounded, so that three hold a float32. Products
// of parts below 2^-24 of the largest are left out. Included after a header that defines the tiles, in files
// compiled for AVX-512.
//
// Every sum has two tiles, of the products of the leading parts and of the others, over ascending chunks of
// 32 elements. A tile with one row adds in the same order as one with sixteen, so a row gets the same bits
// alone and in company.
#pragma once
#include "kernels/cpu/isa/avx512_vector.h"
//
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::TESSERA_TILES {

using namespace avx512;  // NOLINT(google-build-using-namespace): one vocabulary

inline constexpr std::int64_t kTileRows16 = 16;
inline constexpr std::int64_t kChunk = 32;  // elements along which a tile of bf16 sums
inline constexpr std::int64_t kBf16TileBytes = 1024;
inline constexpr int kInputParts = 3;

TESSERA_INLINE Int upper_half(Int v) { return _mm512_and_si512(v, _mm512_set1_epi32(-65536)); }
// Pairs (even column below, odd column above) of the upper halves.
TESSERA_INLINE Int pair_upper_halves(Int even, Int odd) {
  return _mm512_or_si512(_mm512_srli_epi32(even, 16), upper_half(odd));
}

// v = parts[0] + parts[1] + ..., each a bf16 in the upper half of a float32. What the parts do not hold is
// lost.
template <int kParts>
TESSERA_INLINE void split(Float v, Int (&parts)[kParts]) {
  TESSERA_UNROLL
  for (int i = 0; i < kParts; ++i) {
    parts[i] = upper_half(_mm512_castps_si512(v));
    v = subtract(v, _mm512_castsi512_ps(parts[i]));
  }
}

// Tiles 0 and 1: leading sums of two panels; 2 and 3: the others'; 4 to 6: the parts of the inputs; 7:
// weights.
TESSERA_INLINE TileShapes float_shapes(std::int64_t tokens) {
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) {
    shapes.rows[tile] = static_cast<std::uint8_t>(tile < 7 ? tokens : 16);
    shapes.row_bytes[tile] = 64;
  }
  return shapes;
}

// Adds a chunk of one panel to tiles kPanel and 2 + kPanel; the three parts of the inputs are in their tiles.
// `weights` has kParts tiles, [16 pairs of elements][16 columns][2] each.
template <int kPanel, int kParts>
TESSERA_INLINE void add_chunk(const std::byte* weights) {
  Tiles::load<7>(weights, 64);
  Tiles::add_bf16_products<kPanel, 4, 7>();
  Tiles::add_bf16_products<2 + kPanel, 5, 7>();
  Tiles::add_bf16_products<2 + kPanel, 6, 7>();
  if constexpr (kParts > 1) {
    Tiles::load<7>(weights + kBf16TileBytes, 64);
    Tiles::add_bf16_products<2 + kPanel, 4, 7>();
    Tiles::add_bf16_products<2 + kPanel, 5, 7>();
  }
  if constexpr (kParts > 2) {
    Tiles::load<7>(weights + 2 * kBf16TileBytes, 64);
    Tiles::add_bf16_products<2 + kPanel, 4, 7>();
  }
}

// The parts of a chunk of inputs, [kInputParts][rows][32], into their tiles.
TESSERA_INLINE void load_inputs(const std::byte* chunk) {
  Tiles::load<4>(chunk, 64);
  Tiles::load<5>(chunk + kBf16TileBytes, 64);
  Tiles::load<6>(chunk + 2 * kBf16TileBytes, 64);
}

TESSERA_INLINE void zero_sums() {
  Tiles::zero<0>();
  Tiles::zero<1>();
  Tiles::zero<2>();
  Tiles::zero<3>();
}

// sink(row, sums) for the first `rows` rows of a panel's sums.
template <int kPanel, typename Sink>
TESSERA_INLINE void take_sums(std::int64_t rows, Sink sink) {
  alignas(64) float leading[256];
  alignas(64) float others[256];
  Tiles::store<kPanel>(leading, 64);
  Tiles::store<2 + kPanel>(others, 64);
  for (std::int64_t r = 0; r < rows; ++r) sink(r, add(load(leading + 16 * r), load(others + 16 * r)));
}

// kLanes inputs of one row as parts: at `place` of each part's tile.
TESSERA_INLINE void store_parts(Float v, std::byte* place) {
  Int parts[kInputParts];
  split(v, parts);
  TESSERA_UNROLL
  for (int i = 0; i < kInputParts; ++i) {
    const __m256i halves = _mm512_cvtepi32_epi16(_mm512_srli_epi32(parts[i], 16));
    _mm256_store_si256(reinterpret_cast<__m256i*>(place + i * kBf16TileBytes), halves);
  }
}

// Sixteen columns of two neighbouring elements as parts: pair number `pair` of each part's tile.
template <int kParts>
TESSERA_INLINE void store_pair(Float even, Float odd, std::byte* target, std::int64_t pair) {
  Int low[kParts];
  Int high[kParts];
  split(even, low);
  split(odd, high);
  TESSERA_UNROLL
  for (int i = 0; i < kParts; ++i) {
    _mm512_store_si512(target + i * kBf16TileBytes + 64 * pair, pair_upper_halves(low[i], high[i]));
  }
}

}  // namespace tessera::kernels::TESSERA_TILES
