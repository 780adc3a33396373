// y = x Wᵀ + b on packed bf16 and f16 weights with tile registers that multiply bf16 and add in float32. No
// precision of float32 is given up for it: an input is the sum of three bf16 (8 + 8 + 8 significant bits, cut
// off, not rounded), an f16 weight that of two (8 + 3), and products below 2^-24 of the largest are left out.
// Included after a header that defines the tiles, in files compiled for AVX-512.
//
// Every output has two sums, of the products of the leading parts and of the others, over ascending k in
// steps of 32 columns. A tile with one row adds in the same order as one with sixteen, so a token gets the
// same bits alone and in company; one token goes through tiles too.
#pragma once
#include "kernels/cpu/tile_integers.h"

namespace tessera::kernels::TESSERA_TILES {

inline constexpr std::int64_t kChunk = 32;  // columns of a tile of bf16
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

struct TiledBf16 {
  static constexpr int kParts = 1;
  static constexpr std::int64_t kBytes = 2;
  TESSERA_INLINE static Float decode(const std::byte* p) { return load_bf16(p); }
};
struct TiledF16 {
  static constexpr int kParts = 2;
  static constexpr std::int64_t kBytes = 2;
  TESSERA_INLINE static Float decode(const std::byte* p) { return load_f16(p); }
};

// Columns [kChunk c, kChunk (c + 1)) of a panel as tiles: target[part][16 pairs of columns][16 rows][2].
// Columns past the last are zero.
template <typename Weights>
TESSERA_INLINE void spread_chunk(const std::byte* panel, std::int64_t columns, std::int64_t c,
                                 std::byte* target) {
  constexpr std::int64_t kColumn = kPanelRows * Weights::kBytes;
  for (std::int64_t pair = 0; pair < kChunk / 2; ++pair) {
    const std::int64_t k = c * kChunk + 2 * pair;
    Int even[Weights::kParts];
    Int odd[Weights::kParts];
    split(k < columns ? Weights::decode(panel + k * kColumn) : zero(), even);
    split(k + 1 < columns ? Weights::decode(panel + (k + 1) * kColumn) : zero(), odd);
    TESSERA_UNROLL
    for (int i = 0; i < Weights::kParts; ++i) {
      _mm512_store_si512(target + i * kBf16TileBytes + 64 * pair, pair_upper_halves(even[i], odd[i]));
    }
  }
}

// Up to 16 tokens' inputs as tiles: target[chunk][part][token][32 columns], columns past the last zero.
TESSERA_INLINE void spread_inputs(const PackedLinearArguments& arguments, std::int64_t token,
                                  std::int64_t tokens, std::byte* target) {
  const std::int64_t columns = arguments.in_features;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const auto* x = reinterpret_cast<const float*>(arguments.input + (token + t) * arguments.input_stride);
    for (std::int64_t k = 0; k < columns; k += kLanes) {
      Int parts[kInputParts];
      split(columns - k >= kLanes ? load(x + k) : load_first(x + k, columns - k), parts);
      std::byte* chunk = target + k / kChunk * (kInputParts * kBf16TileBytes) + 64 * t + k % kChunk * 2;
      TESSERA_UNROLL
      for (int i = 0; i < kInputParts; ++i) {
        const __m256i halves = _mm512_cvtepi32_epi16(_mm512_srli_epi32(parts[i], 16));
        _mm256_store_si256(reinterpret_cast<__m256i*>(chunk + i * kBf16TileBytes), halves);
      }
    }
    if ((columns + kLanes - 1) / kLanes % 2 == 1) {  // the second half of the last chunk
      std::byte* chunk = target + columns / kChunk * (kInputParts * kBf16TileBytes) + 64 * t + 32;
      TESSERA_UNROLL
      for (int i = 0; i < kInputParts; ++i) {
        _mm256_store_si256(reinterpret_cast<__m256i*>(chunk + i * kBf16TileBytes), _mm256_setzero_si256());
      }
    }
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

// Adds a chunk of one panel to tiles kPanel and 2 + kPanel; the inputs are in their tiles.
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
}

template <int kPanel>
TESSERA_INLINE void store_panel(const PackedLinearArguments& arguments, std::int64_t row, std::int64_t token,
                                std::int64_t tokens) {
  alignas(64) float leading[256];
  alignas(64) float others[256];
  Tiles::store<kPanel>(leading, 64);
  Tiles::store<2 + kPanel>(others, 64);
  for (std::int64_t t = 0; t < tokens; ++t) {
    store_outputs(arguments, token + t, row, add(load(leading + 16 * t), load(others + 16 * t)));
  }
}

// Where the weights of kPanels panels come from: spread before (for many tokens), or chunk by chunk.
template <typename Weights>
struct PanelWeights {
  static constexpr std::int64_t kChunkBytes = Weights::kParts * kBf16TileBytes;
  const std::byte* panel[2] = {};  // packed
  std::byte* tiles[2] = {};        // [chunks] when `spread_before`, otherwise room for one
  bool spread_before = false;

  template <int kPanel>
  TESSERA_INLINE const std::byte* chunk(std::int64_t columns, std::int64_t c) const {
    if (spread_before) return tiles[kPanel] + c * kChunkBytes;
    spread_chunk<Weights>(panel[kPanel], columns, c, tiles[kPanel]);
    return tiles[kPanel];
  }
};

// `tokens` <= 16 tokens from `token` on, on kPanels panels from `row` on.
template <typename Weights, int kPanels>
void float_tile(const PackedLinearArguments& arguments, const PanelWeights<Weights>& weights,
                const std::byte* inputs, std::int64_t row, std::int64_t token, std::int64_t tokens) {
  const std::int64_t columns = arguments.in_features;
  Tiles::zero<0>();
  Tiles::zero<1>();
  Tiles::zero<2>();
  Tiles::zero<3>();
  for (std::int64_t c = 0; c * kChunk < columns; ++c) {
    const std::byte* chunk = inputs + c * (kInputParts * kBf16TileBytes);
    Tiles::load<4>(chunk, 64);
    Tiles::load<5>(chunk + kBf16TileBytes, 64);
    Tiles::load<6>(chunk + 2 * kBf16TileBytes, 64);
    add_chunk<0, Weights::kParts>(weights.template chunk<0>(columns, c));
    if constexpr (kPanels > 1) add_chunk<1, Weights::kParts>(weights.template chunk<1>(columns, c));
  }
  store_panel<0>(arguments, row, token, tokens);
  if constexpr (kPanels > 1) store_panel<1>(arguments, row + kPanelRows, token, tokens);
}

// Tokens [begin, end), whose inputs lie spread at `inputs`, on kPanels panels from `row` on.
template <typename Weights, int kPanels>
void float_panels(const PackedLinearArguments& arguments, PanelWeights<Weights>& weights,
                  const std::byte* inputs, std::int64_t row, std::int64_t begin, std::int64_t end) {
  const std::int64_t columns = arguments.in_features;
  const std::int64_t chunks = (columns + kChunk - 1) / kChunk;
  weights.spread_before = end - begin > kTileRows16;
  for (int p = 0; p < kPanels; ++p) {
    weights.panel[p] = arguments.weight + (row / kPanelRows + p) * columns * kPanelRows * Weights::kBytes;
    for (std::int64_t c = 0; weights.spread_before && c < chunks; ++c) {
      spread_chunk<Weights>(weights.panel[p], columns, c, weights.tiles[p] + c * weights.kChunkBytes);
    }
  }
  for (std::int64_t token = begin; token < end; token += kTileRows16) {
    const std::int64_t tokens = least(kTileRows16, end - token);
    if (tokens < kTileRows16) Tiles::configure(float_shapes(tokens));
    const std::byte* group = inputs + (token - begin) / kTileRows16 * chunks * (kInputParts * kBf16TileBytes);
    float_tile<Weights, kPanels>(arguments, weights, group, row, token, tokens);
    if (tokens < kTileRows16) Tiles::configure(float_shapes(kTileRows16));
  }
}

template <typename Weights>
void tiled_floats(const PackedLinearArguments& arguments) {
  const std::int64_t chunks = (arguments.in_features + kChunk - 1) / kChunk;
  const std::int64_t group_bytes = chunks * kInputParts * kBf16TileBytes;
  const std::int64_t panel_bytes = chunks * PanelWeights<Weights>::kChunkBytes;
  const std::int64_t fitting = kTiledInputBytes / group_bytes;
  const std::int64_t needed = (arguments.tokens + kTileRows16 - 1) / kTileRows16;
  const std::int64_t groups = least(needed, fitting > 4 ? fitting : 4);
  auto* memory = reinterpret_cast<std::byte*>(thread_scratch((groups * group_bytes + 2 * panel_bytes) / 4));
  PanelWeights<Weights> weights;
  weights.tiles[0] = memory + groups * group_bytes;
  weights.tiles[1] = weights.tiles[0] + panel_bytes;
  Tiles::configure(float_shapes(kTileRows16));
  for (std::int64_t begin = 0; begin < arguments.tokens; begin += groups * kTileRows16) {
    const std::int64_t end = least(arguments.tokens, begin + groups * kTileRows16);
    for (std::int64_t token = begin; token < end; token += kTileRows16) {
      spread_inputs(arguments, token, least(kTileRows16, end - token),
                    memory + (token - begin) / kTileRows16 * group_bytes);
    }
    std::int64_t row = arguments.row_begin / kPanelRows * kPanelRows;
    for (; row + 2 * kPanelRows <= padded_rows(arguments); row += 2 * kPanelRows) {
      float_panels<Weights, 2>(arguments, weights, memory, row, begin, end);
    }
    if (row < arguments.row_end) float_panels<Weights, 1>(arguments, weights, memory, row, begin, end);
  }
  Tiles::release();
}

}  // namespace tessera::kernels::TESSERA_TILES
