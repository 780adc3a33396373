// y = x Wᵀ + b on packed bf16 and f16 weights with tile registers (tile_products.h): a bf16 weight is one
// part, an f16 one two. One token goes through tiles too, so that it gets the bits it gets in company.
#pragma once
#include "kernels/cpu/tile_integers.h"
#include "kernels/cpu/tile_products.h"

namespace tessera::kernels::TESSERA_TILES {

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
    const Float even = k < columns ? Weights::decode(panel + k * kColumn) : zero();
    const Float odd = k + 1 < columns ? Weights::decode(panel + (k + 1) * kColumn) : zero();
    store_pair<Weights::kParts>(even, odd, target, pair);
  }
}

// Up to 16 tokens' inputs as tiles: target[chunk][part][token][32 columns], columns past the last zero.
TESSERA_INLINE void spread_inputs(const PackedLinearArguments& arguments, std::int64_t token,
                                  std::int64_t tokens, std::byte* target) {
  const std::int64_t columns = arguments.in_features;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const auto* x = reinterpret_cast<const float*>(arguments.input + (token + t) * arguments.input_stride);
    for (std::int64_t k = 0; k < columns; k += kLanes) {
      const Float v = columns - k >= kLanes ? load(x + k) : load_first(x + k, columns - k);
      store_parts(v, target + k / kChunk * (kInputParts * kBf16TileBytes) + 64 * t + k % kChunk * 2);
    }
    if ((columns + kLanes - 1) / kLanes % 2 == 1) {  // the second half of the last chunk
      store_parts(zero(), target + columns / kChunk * (kInputParts * kBf16TileBytes) + 64 * t + 32);
    }
  }
}

template <int kPanel>
TESSERA_INLINE void store_panel(const PackedLinearArguments& arguments, std::int64_t row, std::int64_t token,
                                std::int64_t tokens) {
  take_sums<kPanel>(tokens,
                    [&](std::int64_t t, Float sums) { store_outputs(arguments, token + t, row, sums); });
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
  zero_sums();
  for (std::int64_t c = 0; c * kChunk < columns; ++c) {
    load_inputs(inputs + c * (kInputParts * kBf16TileBytes));
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
