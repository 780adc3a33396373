// Paged attention with tile registers (tile_products.h), in the fixed tiles of 128 keys and with the softmax
// and the merging of kernels/cpu/attention.h. The mathematics: docs/attention/flash.md. Included after a
// header that defines the tiles, in files compiled for AVX-512.
//
// The keys and values of a tile are spread into bf16 parts once, and met by all rows, sixteen at a time:
// query heads that share them are rows of one tile register, in decoding too.
#pragma once
#include "kernels/cpu/isa/avx512_attention_vector.h"
//
#include "kernels/cpu/attention.h"
#include "kernels/cpu/tile_products.h"

namespace tessera::kernels::TESSERA_TILES {

inline constexpr std::int64_t kMostTileRows = 16;
inline constexpr std::int64_t kKeyChunks = kKeyTile / kChunk;

// A cache's elements as float32 vectors: of a key group element d of its 16 keys, of a value group 16
// elements of one key; and the parts that hold such a number exactly (f16 has 11 significant bits, a scaled
// byte 19). `scales`: the bytes of a group's scales.
struct TileF32 {
  static constexpr DType kType = DType::f32;
  static constexpr int kParts = 3;
  TESSERA_INLINE static Float keys(const std::byte* group, std::int64_t /*scales*/, std::int64_t d) {
    return load(reinterpret_cast<const float*>(group) + d * kKeyGroup);
  }
  TESSERA_INLINE static Float value(const std::byte* group, std::int64_t /*scales*/, std::int64_t width,
                                    std::int64_t key, std::int64_t d) {
    return load(reinterpret_cast<const float*>(group) + key * width + d);
  }
};
struct TileF16 {
  static constexpr DType kType = DType::f16;
  static constexpr int kParts = 2;
  TESSERA_INLINE static Float keys(const std::byte* group, std::int64_t /*scales*/, std::int64_t d) {
    return load_f16(group + 2 * d * kKeyGroup);
  }
  TESSERA_INLINE static Float value(const std::byte* group, std::int64_t /*scales*/, std::int64_t width,
                                    std::int64_t key, std::int64_t d) {
    return load_f16(group + 2 * (key * width + d));
  }
};
struct TileBf16 {
  static constexpr DType kType = DType::bf16;
  static constexpr int kParts = 1;
  TESSERA_INLINE static Float half(const std::byte* pairs, std::int64_t index) {
    const Int both = load_words(pairs);
    return float_of_bits(index % 2 == 0 ? shift_left(both, 16) : upper_half(both));
  }
  TESSERA_INLINE static Float keys(const std::byte* group, std::int64_t /*scales*/, std::int64_t d) {
    return half(group + d / 2 * (4 * kKeyGroup), d);
  }
  TESSERA_INLINE static Float value(const std::byte* group, std::int64_t /*scales*/, std::int64_t width,
                                    std::int64_t key, std::int64_t d) {
    return half(group + 4 * (key / 2 * width + d), key);
  }
};
struct TileQ8_0 {
  static constexpr DType kType = DType::q8_0;
  static constexpr int kParts = 3;
  TESSERA_INLINE static Float keys(const std::byte* group, std::int64_t scales, std::int64_t d) {
    const Int quads = load_words(group + scales + d / 4 * (4 * kKeyGroup));
    const Int quant = bit_and(shift_right(quads, static_cast<unsigned>(8 * (d % 4))), 255);
    const Float scale = load_f16(group + 2 * (d / kKeyValueScaleElements * kKeyGroup));
    return multiply(scale, to_float(add_int(quant, broadcast_int(-128))));
  }
  TESSERA_INLINE static Float value(const std::byte* group, std::int64_t scales, std::int64_t width,
                                    std::int64_t key, std::int64_t d) {
    const float scale = load_one_f16(group + 2 * (d / kKeyValueScaleElements * kKeyGroup + key));
    return multiply(broadcast(scale), to_float(load_signed_bytes(group + scales + key * width + d)));
  }
};

// Working memory of one call; AttentionState has what the merging needs.
struct TileAttention {
  AttentionState state;            // maxima, totals and mixtures
  std::int64_t key_chunks = 0;     // of D
  std::int64_t columns = 0;        // tiles of 16 values
  std::byte* queries = nullptr;    // [rows / 16][key_chunks][kInputParts][16 rows][32]
  std::byte* keys = nullptr;       // [8 groups][key_chunks][parts][16 pairs][16 keys][2]
  std::byte* values = nullptr;     // [columns][kKeyChunks][parts][16 pairs of keys][16][2]
  std::byte* weights = nullptr;    // [kKeyChunks][kInputParts][16 rows][32 keys]
  float* scores = nullptr;         // [16][kKeyTile]
  float* tile_mixtures = nullptr;  // [16][width]
};

inline constexpr std::int64_t kMostParts = 3;

static TileAttention make_tile_attention(const AttentionArguments& arguments) {
  TileAttention tiles;
  AttentionState& state = tiles.state;
  state.rows = arguments.tokens * arguments.group_size;
  state.width = value_width(arguments.head_dim);
  tiles.key_chunks = divide_up(arguments.head_dim, kChunk);
  tiles.columns = state.width / kLanes;
  constexpr std::int64_t kTileFloats = kBf16TileBytes / 4;
  const std::int64_t per_row = divide_up(state.rows, 16) * 16;
  const std::int64_t queries = per_row / 16 * tiles.key_chunks * kInputParts * kTileFloats;
  const std::int64_t keys = kTileGroups * tiles.key_chunks * kMostParts * kTileFloats;
  const std::int64_t values = tiles.columns * kKeyChunks * kMostParts * kTileFloats;
  const std::int64_t weights = kKeyChunks * kInputParts * kTileFloats;
  const std::int64_t scores = kMostTileRows * kKeyTile;
  const std::int64_t mixtures = kMostTileRows * state.width;
  float* memory = thread_scratch(state.rows * state.width + 2 * per_row + queries + keys + values + weights +
                                 scores + mixtures);
  const auto take = [&](std::int64_t floats) {
    float* taken = memory;
    memory += floats;
    return taken;
  };
  state.mixtures = take(state.rows * state.width);
  state.maxima = take(per_row);
  state.totals = take(per_row);
  tiles.queries = reinterpret_cast<std::byte*>(take(queries));
  tiles.keys = reinterpret_cast<std::byte*>(take(keys));
  tiles.values = reinterpret_cast<std::byte*>(take(values));
  tiles.weights = reinterpret_cast<std::byte*>(take(weights));
  tiles.scores = take(scores);
  tiles.tile_mixtures = take(mixtures);
  return tiles;
}

// Where row `row` of the call begins in tiles of [row block][chunks][kInputParts][16 rows][32].
TESSERA_INLINE std::byte* row_place(std::byte* tiles, std::int64_t chunks, std::int64_t row) {
  return tiles + row / kMostTileRows * chunks * kInputParts * kBf16TileBytes + row % kMostTileRows * 64;
}

// query * scale, in units of ln 2 where no cap comes between.
static void spread_queries(const AttentionArguments& arguments, const TileAttention& tiles) {
  const float unit = arguments.logit_softcap > 0 ? 1.0F : kLog2E;
  const Float scale = broadcast(arguments.scale * unit);
  for (std::int64_t row = 0; row < tiles.state.rows; ++row) {
    const float* query = arguments.query + row / arguments.group_size * arguments.token_stride +
                         row % arguments.group_size * arguments.head_dim;
    std::byte* place = row_place(tiles.queries, tiles.key_chunks, row);
    for (std::int64_t d = 0; d < tiles.key_chunks * kChunk; d += kLanes) {
      const std::int64_t rest = arguments.head_dim - d;
      const Float q = rest >= kLanes ? load(query + d) : load_first(query + d, larger(rest, 0));
      store_parts(multiply(q, scale), place + d / kChunk * (kInputParts * kBf16TileBytes) + d % kChunk * 2);
    }
  }
}

// The keys of a tile into tiles.keys, groups that no row sees left out; what pads head_dim is zero.
template <typename Cache>
static void spread_keys(const AttentionArguments& arguments, const TileAttention& tiles,
                        const TileGroups& groups) {
  constexpr std::int64_t kBytes = Cache::kParts * kBf16TileBytes;
  const std::int64_t scales = scale_bytes(Cache::kType, arguments.head_dim);
  for (std::int64_t g = 0; g < kTileGroups; ++g) {
    const std::byte* group = groups.now.keys[g];
    if (group == nullptr) continue;
    std::byte* target = tiles.keys + g * tiles.key_chunks * kBytes;
    for (std::int64_t d = 0; d < tiles.key_chunks * kChunk; d += 2) {
      const Float even = d < arguments.head_dim ? Cache::keys(group, scales, d) : zero();
      const Float odd = d + 1 < arguments.head_dim ? Cache::keys(group, scales, d + 1) : zero();
      store_pair<Cache::kParts>(even, odd, target + d / kChunk * kBytes, d % kChunk / 2);
    }
  }
}

// The values of the tile's `keys` into tiles.values, all others zero. Whether all of them are finite.
template <typename Cache>
static bool spread_values(const AttentionArguments& arguments, const TileAttention& tiles,
                          const TileGroups& groups, KeyRange keys) {
  constexpr std::int64_t kBytes = Cache::kParts * kBf16TileBytes;
  const std::int64_t scales = scale_bytes(Cache::kType, arguments.head_dim);
  Float trouble = zero();  // becomes NaN where a value is infinite or NaN
  for (std::int64_t column = 0; column < tiles.columns; ++column) {
    const auto value = [&](std::int64_t key) {
      if (key < keys.begin || key >= keys.end) return zero();
      const Float v = Cache::value(groups.now.values[key / kKeyGroup], scales, tiles.state.width,
                                   key % kKeyGroup, column * kLanes);
      trouble = multiply_add(v, zero(), trouble);
      return v;
    };
    std::byte* target = tiles.values + column * kKeyChunks * kBytes;
    for (std::int64_t key = keys.begin / kChunk * kChunk; key < divide_up(keys.end, kChunk) * kChunk;
         key += 2) {
      const Float even = value(key);
      store_pair<Cache::kParts>(even, value(key + 1), target + key / kChunk * kBytes, key % kChunk / 2);
    }
  }
  return sum_lanes(trouble) == 0.0F;
}

// scores[row, key] of `rows` rows, whose queries lie at `queries`, for the key groups in [begin, end).
template <int kParts>
static void score_block(const TileAttention& tiles, const std::byte* queries, std::int64_t rows,
                        std::int64_t begin, std::int64_t end) {
  const std::int64_t group_bytes = tiles.key_chunks * kParts * kBf16TileBytes;
  const auto keep = [&](std::int64_t g) {
    return
        [&tiles, g](std::int64_t r, Float sums) { store(tiles.scores + r * kKeyTile + g * kKeyGroup, sums); };
  };
  for (std::int64_t g = begin; g < end; g += 2) {
    const std::byte* keys = tiles.keys + g * group_bytes;
    const bool both = g + 1 < end;
    zero_sums();
    for (std::int64_t c = 0; c < tiles.key_chunks; ++c) {
      load_inputs(queries + c * (kInputParts * kBf16TileBytes));
      add_chunk<0, kParts>(keys + c * (kParts * kBf16TileBytes));
      if (both) add_chunk<1, kParts>(keys + group_bytes + c * (kParts * kBf16TileBytes));
    }
    take_sums<0>(rows, keep(g));
    if (both) take_sums<1>(rows, keep(g + 1));
  }
}

// Weights of score row `row`, zero outside `keys`, as row `place` of the tiles.
static void spread_weights(const TileAttention& tiles, std::int64_t row, KeyRange keys, std::int64_t place) {
  const float* weights = tiles.scores + row * kKeyTile;
  for (std::int64_t j = 0; j < kKeyTile; j += kLanes) {
    const bool seen = j + kLanes > keys.begin && j < keys.end;
    store_parts(seen ? load(weights + j) : zero(),
                tiles.weights + j / kChunk * (kInputParts * kBf16TileBytes) + 64 * place + j % kChunk * 2);
  }
}

// `mixtures` [rows, width] = weights times values, for the chunks of keys that `keys` touches.
template <int kParts>
static void mix_block(const TileAttention& tiles, std::int64_t rows, KeyRange keys, float* mixtures) {
  constexpr std::int64_t kColumnBytes = kKeyChunks * kParts * kBf16TileBytes;
  const auto keep = [&](std::int64_t column) {
    float* target = mixtures + column * kLanes;
    const std::int64_t width = tiles.state.width;
    return [target, width](std::int64_t r, Float sums) { store(target + r * width, sums); };
  };
  for (std::int64_t column = 0; column < tiles.columns; column += 2) {
    const std::byte* values = tiles.values + column * kColumnBytes;
    const bool both = column + 1 < tiles.columns;
    zero_sums();
    for (std::int64_t c = keys.begin / kChunk; c * kChunk < keys.end; ++c) {
      load_inputs(tiles.weights + c * (kInputParts * kBf16TileBytes));
      add_chunk<0, kParts>(values + c * (kParts * kBf16TileBytes));
      if (both) add_chunk<1, kParts>(values + kColumnBytes + c * (kParts * kBf16TileBytes));
    }
    take_sums<0>(rows, keep(column));
    if (both) take_sums<1>(rows, keep(column + 1));
  }
}

TESSERA_INLINE void shape_tiles(std::int64_t& shaped, std::int64_t rows) {
  if (shaped != rows) Tiles::configure(float_shapes(rows));
  shaped = rows;
}

// Up to 16 rows from `first` on, on one tile of keys: sink(row, sums, mixture) for each that sees a key of
// it. What is not finite among the values must not reach a row that does not see it, not even times zero:
// then each row has its own values spread.
template <typename Keys, typename Values, typename Sink>
static void attend_tile_block(const AttentionArguments& arguments, const TileAttention& tiles,
                              const TileGroups& groups, std::int64_t tile, std::int64_t first, bool finite,
                              std::int64_t& shaped, Sink sink) {
  const std::int64_t rows = lesser(kMostTileRows, tiles.state.rows - first);
  KeyRange ranges[kMostTileRows];
  KeyRange seen{kKeyTile, 0};
  for (std::int64_t r = 0; r < rows; ++r) {
    ranges[r] = within_tile(visible_keys(arguments, (first + r) / arguments.group_size), tile);
    if (!ranges[r].empty()) seen = {lesser(seen.begin, ranges[r].begin), larger(seen.end, ranges[r].end)};
  }
  if (seen.empty()) return;
  shape_tiles(shaped, rows);
  score_block<Keys::kParts>(tiles, row_place(tiles.queries, tiles.key_chunks, first), rows,
                            seen.begin / kKeyGroup, divide_up(seen.end, kKeyGroup));
  TileSums sums[kMostTileRows];
  for (std::int64_t r = 0; r < rows; ++r) {
    if (!ranges[r].empty()) sums[r] = soften(tiles.scores + r * kKeyTile, ranges[r], arguments.logit_softcap);
    if (finite) spread_weights(tiles, r, ranges[r], r);
  }
  if (finite) mix_block<Values::kParts>(tiles, rows, seen, tiles.tile_mixtures);
  for (std::int64_t r = 0; r < rows; ++r) {
    if (ranges[r].empty()) continue;
    float* mixture = tiles.tile_mixtures + r * tiles.state.width;
    if (!finite) {
      shape_tiles(shaped, 1);
      spread_values<Values>(arguments, tiles, groups, ranges[r]);
      spread_weights(tiles, r, ranges[r], 0);
      mix_block<Values::kParts>(tiles, 1, ranges[r], mixture);
    }
    sink(first + r, sums[r], mixture);
  }
}

// Tiles [tiles_seen): sink(tile, row, sums, mixture) for every row that sees a key of one.
template <typename Keys, typename Values, typename Sink>
static void attend_with_tiles(const AttentionArguments& arguments, const TileAttention& tiles,
                              KeyRange key_tiles, Sink sink) {
  TileGroups groups;
  find_groups(arguments, key_tiles.begin, groups.next);
  std::int64_t shaped = 0;
  const KeyRange all{visible_keys(arguments, 0).begin, visible_keys(arguments, arguments.tokens - 1).end};
  for (std::int64_t tile = key_tiles.begin; tile < key_tiles.end; ++tile) {
    groups.now = groups.next;
    groups.next = {};
    if (tile + 1 < key_tiles.end) find_groups(arguments, tile + 1, groups.next);
    for (std::int64_t g = 0; g < kTileGroups; ++g) {
      prefetch_group(groups.next.keys[g], key_group_bytes(Keys::kType, arguments.head_dim));
      prefetch_group(groups.next.values[g], value_group_bytes(Values::kType, arguments.head_dim));
    }
    spread_keys<Keys>(arguments, tiles, groups);
    const bool finite = spread_values<Values>(arguments, tiles, groups, within_tile(all, tile));
    for (std::int64_t first = 0; first < tiles.state.rows; first += kMostTileRows) {
      attend_tile_block<Keys, Values>(
          arguments, tiles, groups, tile, first, finite, shaped,
          [&](std::int64_t row, TileSums sums, const float* mixture) { sink(tile, row, sums, mixture); });
    }
  }
  Tiles::release();
}

template <typename Keys, typename Sink>
static void attend_values(const AttentionArguments& arguments, const TileAttention& tiles, KeyRange key_tiles,
                          Sink sink) {
  switch (arguments.value_dtype) {
    case DType::f16:
      return attend_with_tiles<Keys, TileF16>(arguments, tiles, key_tiles, sink);
    case DType::bf16:
      return attend_with_tiles<Keys, TileBf16>(arguments, tiles, key_tiles, sink);
    case DType::q8_0:
      return attend_with_tiles<Keys, TileQ8_0>(arguments, tiles, key_tiles, sink);
    default:
      return attend_with_tiles<Keys, TileF32>(arguments, tiles, key_tiles, sink);
  }
}

template <typename Sink>
static void attend_any(const AttentionArguments& arguments, const TileAttention& tiles, KeyRange key_tiles,
                       Sink sink) {
  spread_queries(arguments, tiles);
  switch (arguments.key_dtype) {
    case DType::f16:
      return attend_values<TileF16>(arguments, tiles, key_tiles, sink);
    case DType::bf16:
      return attend_values<TileBf16>(arguments, tiles, key_tiles, sink);
    case DType::q8_0:
      return attend_values<TileQ8_0>(arguments, tiles, key_tiles, sink);
    default:
      return attend_values<TileF32>(arguments, tiles, key_tiles, sink);
  }
}

static void tile_attention(const AttentionArguments& arguments) {
  if (arguments.tokens <= 0 || arguments.group_size <= 0) return;
  const TileAttention tiles = make_tile_attention(arguments);
  start_rows(tiles.state);
  attend_any(arguments, tiles, visible_tiles(arguments),
             [&](std::int64_t, std::int64_t row, TileSums sums, const float* mixture) {
               merge(tiles.state, row, sums, mixture);
             });
  finish_rows(arguments, tiles.state);
}

static void tile_attention_partials(const AttentionArguments& arguments) {
  if (arguments.tokens <= 0 || arguments.group_size <= 0) return;
  const TileAttention tiles = make_tile_attention(arguments);
  attend_any(arguments, tiles, {arguments.tile_begin, arguments.tile_end},
             [&](std::int64_t tile, std::int64_t row, TileSums sums, const float* mixture) {
               store_partial(arguments, tiles.state, tile, row, sums, mixture);
             });
}

void fill_attention(KernelTable& table) {
  table.attention = tile_attention;
  table.attention_partials = tile_attention_partials;
}

}  // namespace tessera::kernels::TESSERA_TILES
