// Paged attention of one ISA: flash attention (Dao et al. 2022) over fixed tiles of keys. Included by its
// translation units after the vector header. The mathematics: docs/attention/flash.md.
//
// Tiles are counted from key 0 of the sequence. Each gives a row a result of its own, from zero: a maximum, a
// total and a mixture; these are merged in ascending order by one expression. So every rounding depends on
// the row's own keys alone: not on the other rows of the call, on how the prompt was cut in pieces, nor on
// who computed which tile.
#pragma once
#include "kernels/cpu/attention_values.h"

namespace tessera::kernels::TESSERA_ISA {

inline constexpr float kLog2E = 1.44269504F;

// 2^x for x <= 0; what is below 2^-125 gives about that. 2^n p(r), n = round(x), |r| <= 1/2, p = 1 + r (...)
// to r^6 fitted to the smallest largest relative error, 2.0e-9, a thirtieth of the unit roundoff; with the
// roundings of the sum within 1.5 units in the last place. p(0) is exactly 1. NaN gives NaN.
TESSERA_INLINE Float power_of_two(Float x) {
  const Float clamped = maximum(broadcast(-125.0F), x);
  const Float n = round_to_even(clamped);
  const Float r = subtract(clamped, n);
  Float sum = broadcast(0x1.41fbbcp-13F);
  sum = multiply_add(sum, r, broadcast(0x1.5f3e54p-10F));
  sum = multiply_add(sum, r, broadcast(0x1.3b2d4cp-7F));
  sum = multiply_add(sum, r, broadcast(0x1.c6aee8p-5F));
  sum = multiply_add(sum, r, broadcast(0x1.ebfbdcp-3F));
  sum = multiply_add(sum, r, broadcast(0x1.62e430p-1F));
  sum = multiply_add(sum, r, broadcast(1.0F));
  return scale_by_exponent(sum, n);
}

// state.queries = query * scale, in units of ln 2 where no cap comes between.
static void scale_queries(const AttentionArguments& arguments, const AttentionState& state) {
  const float unit = arguments.logit_softcap > 0 ? 1.0F : kLog2E;
  const Float scale = broadcast(arguments.scale * unit);
  for (std::int64_t row = 0; row < state.rows;) {
    const int rows = block_rows(state.rows - row);
    float* scaled = state.tile_mixtures;  // [rows, width], free until the first tile
    float* target = state.queries + row * state.width;
    for (int r = 0; r < rows; ++r) {
      const float* query = arguments.query + (row + r) / arguments.group_size * arguments.token_stride +
                           (row + r) % arguments.group_size * arguments.head_dim;
      for (std::int64_t d = 0; d < state.width; d += kLanes) {
        const std::int64_t rest = arguments.head_dim - d;
        const Float q = rest >= kLanes ? load(query + d) : load_first(query + d, larger(rest, 0));
        store(scaled + r * state.width + d, multiply(q, scale));
      }
      for (std::int64_t d = 0; d < state.width; ++d) target[d * rows + r] = scaled[r * state.width + d];
    }
    if (arguments.key_dtype == DType::q8_0) quantize_queries(state, scaled, row, rows);
    row += rows;
  }
}

alignas(64) static constexpr float kLaneIndex[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// Lanes of keys outside `keys` replaced by `filler`; v holds keys first ... first + kLanes - 1.
TESSERA_INLINE Float mask_keys(Float v, std::int64_t first, KeyRange keys, float filler) {
  if (first >= keys.begin && first + kLanes <= keys.end) return v;
  const Float key = add(load(kLaneIndex), broadcast(static_cast<float>(first)));
  const Float other = broadcast(filler);
  const Float low = select_less(key, broadcast(static_cast<float>(keys.begin)), other, v);
  return select_less(key, broadcast(static_cast<float>(keys.end)), low, other);
}

struct TileSums {
  float maximum;
  float total;
};

// Turns one row's scores into weights 2^(score - maximum), zero outside `keys`.
static TileSums soften(float* scores, KeyRange keys, float softcap) {
  const std::int64_t begin = keys.begin / kLanes * kLanes;
  Float top = broadcast(-__builtin_inff());
  for (std::int64_t j = begin; j < keys.end; j += kLanes) {
    Float score = load(scores + j);
    if (softcap > 0) {
      score = multiply(broadcast(softcap * kLog2E), hyperbolic_tangent(divide(score, broadcast(softcap))));
      store(scores + j, score);
    }
    top = maximum(top, mask_keys(score, j, keys, -__builtin_inff()));
  }
  const float largest = maximum_lane(top);
  const Float shift = broadcast(largest);
  Float sums = zero();
  for (std::int64_t j = begin; j < keys.end; j += kLanes) {
    const Float weights = mask_keys(power_of_two(subtract(load(scores + j), shift)), j, keys, 0.0F);
    store(scores + j, weights);
    sums = add(sums, weights);
  }
  return {largest, sum_lanes(sums)};
}

// The merge of one more tile into a row: with M' = max(M, m), a = 2^(M - M'), b = 2^(m - M'),
// total = total a + l b and mixture = mixture a + tile b. The first tile finds M = -inf and zeros.
TESSERA_INLINE void merge(const AttentionState& state, std::int64_t row, TileSums tile,
                          const float* mixture) {
  const float old_maximum = state.maxima[row];
  const float new_maximum = tile.maximum > old_maximum ? tile.maximum : old_maximum;
  const Float shift = broadcast(new_maximum);
  const Float a = power_of_two(subtract(broadcast(old_maximum), shift));
  const Float b = power_of_two(subtract(broadcast(tile.maximum), shift));
  const Float total = multiply_add(broadcast(tile.total), b, multiply(broadcast(state.totals[row]), a));
  store_first(state.totals + row, total, 1);
  state.maxima[row] = new_maximum;
  float* own = state.mixtures + row * state.width;
  for (std::int64_t d = 0; d < state.width; d += kLanes) {
    store(own + d, multiply_add(load(mixture + d), b, multiply(load(own + d), a)));
  }
}

static void start_rows(const AttentionState& state) {
  for (std::int64_t row = 0; row < state.rows; ++row) {
    state.maxima[row] = -__builtin_inff();
    state.totals[row] = 0;
    for (std::int64_t d = 0; d < state.width; d += kLanes)
      store(state.mixtures + row * state.width + d, zero());
  }
}

static void finish_rows(const AttentionArguments& arguments, const AttentionState& state) {
  for (std::int64_t row = 0; row < state.rows; ++row) {
    float* output = arguments.output + row / arguments.group_size * arguments.token_stride +
                    row % arguments.group_size * arguments.head_dim;
    const Float total = broadcast(state.totals[row]);
    for (std::int64_t d = 0; d < arguments.head_dim; d += kLanes) {
      const Float mixture = divide(load(state.mixtures + row * state.width + d), total);
      const std::int64_t rest = arguments.head_dim - d;
      if (rest >= kLanes) {
        store(output + d, mixture);
      } else {
        store_first(output + d, mixture, rest);
      }
    }
  }
}

template <int kRows>
static void score_any(const AttentionArguments& arguments, const AttentionState& state,
                      const TileGroups& groups, std::int64_t row, KeyRange columns) {
  switch (arguments.key_dtype) {
    case DType::f16:
      return score_rows<CacheF16, kRows>(arguments, state, groups, row, columns);
    case DType::bf16:
      return score_rows<CacheBf16, kRows>(arguments, state, groups, row, columns);
    case DType::q8_0:
      return score_quant_rows<kRows>(arguments, state, groups, row, columns);
    default:
      return score_rows<CacheF32, kRows>(arguments, state, groups, row, columns);
  }
}

template <int kRows>
static void mix_any(const AttentionArguments& arguments, const AttentionState& state,
                    const TileGroups& groups, const KeyRange* ranges, std::int64_t row) {
  switch (arguments.value_dtype) {
    case DType::f16:
      return mix_rows<CacheF16, kRows>(arguments, state, groups, ranges, row);
    case DType::bf16:
      return mix_rows<CacheBf16, kRows>(arguments, state, groups, ranges, row);
    case DType::q8_0:
      return mix_rows<CacheQ8_0, kRows>(arguments, state, groups, ranges, row);
    default:
      return mix_rows<CacheF32, kRows>(arguments, state, groups, ranges, row);
  }
}

// Rows [row, row + kRows) on one tile: sink(row, sums, mixture) for each that sees a key of it.
template <int kRows, typename Sink>
static void attend_rows(const AttentionArguments& arguments, const AttentionState& state,
                        const TileGroups& groups, std::int64_t tile, std::int64_t row, Sink sink) {
  KeyRange ranges[kRows];
  KeyRange seen{kKeyTile, 0};
  for (int r = 0; r < kRows; ++r) {
    ranges[r] = within_tile(visible_keys(arguments, (row + r) / arguments.group_size), tile);
    if (!ranges[r].empty()) seen = {lesser(seen.begin, ranges[r].begin), larger(seen.end, ranges[r].end)};
  }
  if (seen.empty()) return;
  score_any<kRows>(arguments, state, groups, row, {seen.begin / kLanes, divide_up(seen.end, kLanes)});
  TileSums sums[kRows];
  for (int r = 0; r < kRows; ++r) {
    if (!ranges[r].empty()) sums[r] = soften(state.scores + r * kKeyTile, ranges[r], arguments.logit_softcap);
  }
  for (std::int64_t i = 0; i < kRows * state.width; i += kLanes) store(state.tile_mixtures + i, zero());
  mix_any<kRows>(arguments, state, groups, ranges, row);
  for (int r = 0; r < kRows; ++r) {
    if (!ranges[r].empty()) sink(row + r, sums[r], state.tile_mixtures + r * state.width);
  }
}

// All rows on one tile, as many at a time as share the registers well.
template <typename Sink>
static void attend_tile(const AttentionArguments& arguments, const AttentionState& state,
                        const TileGroups& groups, std::int64_t tile, Sink sink) {
  for (std::int64_t row = 0; row < state.rows;) {
    const auto attend = [&](auto rows) {
      attend_rows<decltype(rows)::value>(arguments, state, groups, tile, row, sink);
      row += decltype(rows)::value;
    };
    switch (block_rows(state.rows - row)) {
      case 12:
        attend(IntConstant<kMostRows>{});
        break;
      case 6:
        attend(IntConstant<6>{});
        break;
      case 4:
        attend(IntConstant<4>{});
        break;
      case 3:
        attend(IntConstant<3>{});
        break;
      case 2:
        attend(IntConstant<2>{});
        break;
      default:
        attend(IntConstant<1>{});
        break;
    }
  }
}

// Tiles [tiles): sink(tile, row, sums, mixture) for every row that sees a key of one.
template <typename Sink>
static void attend_tiles(const AttentionArguments& arguments, const AttentionState& state, KeyRange tiles,
                         Sink sink) {
  TileGroups groups;
  find_groups(arguments, tiles.begin, groups.next);
  for (std::int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
    groups.now = groups.next;
    groups.next = {};
    if (tile + 1 < tiles.end) find_groups(arguments, tile + 1, groups.next);
    attend_tile(arguments, state, groups, tile, [&](std::int64_t row, TileSums sums, const float* mixture) {
      sink(tile, row, sums, mixture);
    });
  }
}

static inline void attention(const AttentionArguments& arguments) {
  if (arguments.tokens <= 0 || arguments.group_size <= 0) return;
  const AttentionState state = make_state(arguments);
  scale_queries(arguments, state);
  start_rows(state);
  attend_tiles(arguments, state, visible_tiles(arguments),
               [&](std::int64_t, std::int64_t row, TileSums sums, const float* mixture) {
                 merge(state, row, sums, mixture);
               });
  finish_rows(arguments, state);
}

// One row's result of one tile, for merge_attention().
static void store_partial(const AttentionArguments& arguments, const AttentionState& state, std::int64_t tile,
                          std::int64_t row, TileSums sums, const float* mixture) {
  const std::int64_t floats = partial_floats(arguments.head_dim);
  float* partial = arguments.partials + ((tile - arguments.tile_begin) * state.rows + row) * floats;
  for (std::int64_t d = 0; d < state.width; d += kLanes) store(partial + d, load(mixture + d));
  partial[state.width] = sums.maximum;
  partial[state.width + 1] = sums.total;
}

static inline void attention_partials(const AttentionArguments& arguments) {
  if (arguments.tokens <= 0 || arguments.group_size <= 0) return;
  const AttentionState state = make_state(arguments);
  scale_queries(arguments, state);
  attend_tiles(arguments, state, {arguments.tile_begin, arguments.tile_end},
               [&](std::int64_t tile, std::int64_t row, TileSums sums, const float* mixture) {
                 store_partial(arguments, state, tile, row, sums, mixture);
               });
}

static inline void merge_attention(const AttentionArguments& arguments) {
  if (arguments.tokens <= 0 || arguments.group_size <= 0) return;
  const AttentionState state = make_state(arguments);
  start_rows(state);
  const std::int64_t floats = partial_floats(arguments.head_dim);
  for (std::int64_t row = 0; row < state.rows; ++row) {
    const KeyRange keys = visible_keys(arguments, row / arguments.group_size);
    const std::int64_t end = divide_up(keys.end, kKeyTile);
    for (std::int64_t tile = keys.begin / kKeyTile; tile < end; ++tile) {
      const float* partial = arguments.partials + ((tile - arguments.tile_begin) * state.rows + row) * floats;
      merge(state, row, {partial[state.width], partial[state.width + 1]}, partial);
    }
  }
  finish_rows(arguments, state);
}

}  // namespace tessera::kernels::TESSERA_ISA
