// Paged attention of one ISA: online softmax (Milakov & Gimelshein 2018; Dao et al. 2022) over tiles of keys.
// Included by its translation units after the vector header.
//
// Tiles are counted from key 0 of the sequence, so the tiles a row sees, and with them every rounding, depend
// on its own position and the window alone: not on the other rows of the call, nor on how the prompt was cut
// in pieces.
#pragma once
#include "kernels/cpu/linear.h"
#include "kernels/cpu/math.h"

namespace tessera::kernels::TESSERA_ISA {

inline constexpr std::int64_t kKeyTile = 32;  // keys and values of a tile stay in L1 for head_dim up to 128
inline constexpr int kMixRows = 4;            // query rows that share a loaded value vector

// Working memory of one call, all rows padded to whole vectors.
struct AttentionState {
  std::int64_t rows = 0;
  std::int64_t width = 0;        // padded head_dim
  float* queries = nullptr;      // [rows, width], scaled
  float* mixtures = nullptr;     // [rows, width] sum of exp(score - maximum) * value so far
  float* scores = nullptr;       // [rows, kKeyTile]
  float* maxima = nullptr;       // [rows] largest score so far
  float* totals = nullptr;       // [rows] sum of exp(score - maximum) so far
  float* corrections = nullptr;  // [rows] exp(old maximum - new maximum) of this tile
  float* keys = nullptr;         // [kKeyTile, width], where the cache cannot be used in place
  float* values = nullptr;
};

// Keys [begin, end): of the sequence, or within a tile.
struct KeyRange {
  std::int64_t begin;
  std::int64_t end;
};

// Where rows [range) of a tile lie as float32.
struct TileRows {
  const float* first;  // row range.begin
  std::int64_t stride;
  KeyRange range;
};

template <int kValue>
struct IntConstant {
  static constexpr int value = kValue;
};

TESSERA_INLINE std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

TESSERA_INLINE KeyRange visible_keys(const AttentionArguments& arguments, std::int64_t token) {
  const std::int64_t end = arguments.first_position + token + 1;
  return {arguments.sliding_window > 0 ? larger(0, end - arguments.sliding_window) : 0, end};
}

static AttentionState make_state(const AttentionArguments& arguments) {
  AttentionState state;
  state.rows = arguments.tokens * arguments.group_size;
  state.width = padded(arguments.head_dim);
  const std::int64_t per_row = padded(state.rows);
  float* memory = thread_scratch(2 * state.rows * state.width + state.rows * kKeyTile + 3 * per_row +
                                 2 * kKeyTile * state.width);
  const auto take = [&](std::int64_t floats) {
    float* taken = memory;
    memory += floats;
    return taken;
  };
  state.queries = take(state.rows * state.width);
  state.mixtures = take(state.rows * state.width);
  state.keys = take(kKeyTile * state.width);
  state.values = take(kKeyTile * state.width);
  state.scores = take(state.rows * kKeyTile);
  state.maxima = take(per_row);
  state.totals = take(per_row);
  state.corrections = take(per_row);
  const Float scale = broadcast(arguments.scale);
  for (std::int64_t row = 0; row < state.rows; ++row) {
    const float* query = arguments.query + row / arguments.group_size * arguments.token_stride +
                         row % arguments.group_size * arguments.head_dim;
    for (std::int64_t d = 0; d < state.width; d += kLanes) {
      const std::int64_t rest = arguments.head_dim - d;
      const Float q = rest >= kLanes ? load(query + d) : load_first(query + d, rest);
      store(state.queries + row * state.width + d, multiply(q, scale));
      store(state.mixtures + row * state.width + d, zero());
    }
    state.maxima[row] = -__builtin_inff();
    state.totals[row] = 0;
  }
  return state;
}

template <typename Type>
TESSERA_INLINE void widen_row(const std::byte* source, float* target, std::int64_t count) {
  decode_row<Type>(source, count, [&](std::int64_t i, Float v) { store(target + i, v); });
}

// Keys (or values) [range) of the tile that begins at `start`: in place where they are, else widened into
// `scratch`.
static TileRows tile_rows(const AttentionArguments& arguments, const std::byte* cache, std::int64_t start,
                          KeyRange range, float* scratch, std::int64_t width) {
  const std::int64_t bytes = arguments.dtype == DType::f32 ? 4 : 2;
  const auto row = [&](std::int64_t j) {
    const std::int64_t key = start + j;
    const std::int64_t block = arguments.block_table[key / arguments.block_size];
    return cache + (block * arguments.block_stride + key % arguments.block_size * arguments.head_dim) * bytes;
  };
  const bool together =
      (start + range.begin) / arguments.block_size == (start + range.end - 1) / arguments.block_size;
  if (arguments.dtype == DType::f32 && together && width == arguments.head_dim) {
    return {reinterpret_cast<const float*>(row(range.begin)), width, range};
  }
  for (std::int64_t j = range.begin; j < range.end; ++j) {
    float* target = scratch + (j - range.begin) * width;
    switch (arguments.dtype) {
      case DType::f16:
        widen_row<PlainF16>(row(j), target, arguments.head_dim);
        break;
      case DType::bf16:
        widen_row<PlainBf16>(row(j), target, arguments.head_dim);
        break;
      default:
        widen_row<PlainF32>(row(j), target, arguments.head_dim);
        break;
    }
  }
  return {scratch, width, range};
}

// scores[row, j] for all rows and the keys at hand.
static void score_tile(const AttentionState& state, TileRows keys) {
  LinearArguments product;
  product.input = state.queries;
  product.input_stride = state.width;
  product.output = state.scores + keys.range.begin;
  product.output_stride = kKeyTile;
  product.tokens = state.rows;
  product.in_features = state.width;
  dot_panel(keys.first, keys.stride, keys.range.end - keys.range.begin, product, 0);
}

// Turns the scores of a row into weights exp(score - maximum), zero outside `range`, and moves its maximum
// and total.
static void soften(const AttentionArguments& arguments, const AttentionState& state, std::int64_t row,
                   KeyRange range) {
  float* scores = state.scores + row * kKeyTile;
  const float lowest = -__builtin_inff();
  const Float cap = broadcast(arguments.logit_softcap);
  Float top = broadcast(lowest);
  for (std::int64_t j = 0; j < range.begin; ++j) scores[j] = lowest;
  for (std::int64_t j = range.end; j < kKeyTile; ++j) scores[j] = lowest;
  for (std::int64_t j = 0; j < kKeyTile; j += kLanes) {
    Float s = load(scores + j);
    if (arguments.logit_softcap > 0) {
      s = multiply(cap, hyperbolic_tangent(divide(s, cap)));
      s = select_less(broadcast(lowest), load(scores + j), s,
                      broadcast(lowest));  // what is hidden stays hidden
      store(scores + j, s);
    }
    top = maximum(top, s);
  }
  const float old_maximum = state.maxima[row];
  const float tile_maximum = maximum_lane(top);
  const float new_maximum = tile_maximum > old_maximum ? tile_maximum : old_maximum;
  const Float shift = broadcast(new_maximum);
  Float sums = zero();
  for (std::int64_t j = 0; j < kKeyTile; j += kLanes) {
    const Float weights = exponential(subtract(load(scores + j), shift));
    store(scores + j, weights);
    sums = add(sums, weights);
  }
  // The first tile's old maximum is -inf, its correction exp(-inf) = 0.
  const float correction = sum_lanes(keep_first(exponential(broadcast(old_maximum - new_maximum)), 1, 0.0F));
  state.maxima[row] = new_maximum;
  state.corrections[row] = correction;
  state.totals[row] = state.totals[row] * correction + sum_lanes(sums);
}

// mixtures[row] = mixtures[row] * correction + sum over keys of weight * value, for kRows rows that see the
// same keys.
template <int kRows>
static void mix_rows(const AttentionState& state, std::int64_t row, TileRows values, KeyRange range) {
  constexpr int kColumns = 2;  // vectors of head_dim at a time
  for (std::int64_t d = 0; d < state.width; d += kColumns * kLanes) {
    const int columns = d + kColumns * kLanes <= state.width ? kColumns : 1;
    const auto mix = [&](auto constant) __attribute__((always_inline)) {
      constexpr int kNow = decltype(constant)::value;
      Float sums[kRows][kNow];
      TESSERA_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const Float correction = broadcast(state.corrections[row + r]);
        TESSERA_UNROLL
        for (int c = 0; c < kNow; ++c) {
          sums[r][c] = multiply(load(state.mixtures + (row + r) * state.width + d + c * kLanes), correction);
        }
      }
      for (std::int64_t j = range.begin; j < range.end; ++j) {
        const float* value = values.first + (j - values.range.begin) * values.stride + d;
        Float v[kNow];
        TESSERA_UNROLL
        for (int c = 0; c < kNow; ++c) v[c] = load(value + c * kLanes);
        TESSERA_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const Float weight = broadcast(state.scores[(row + r) * kKeyTile + j]);
          TESSERA_UNROLL
          for (int c = 0; c < kNow; ++c) sums[r][c] = multiply_add(weight, v[c], sums[r][c]);
        }
      }
      TESSERA_UNROLL
      for (int r = 0; r < kRows; ++r) {
        TESSERA_UNROLL
        for (int c = 0; c < kNow; ++c) {
          store(state.mixtures + (row + r) * state.width + d + c * kLanes, sums[r][c]);
        }
      }
    };
    if (columns == kColumns) {
      mix(IntConstant<kColumns>{});
    } else {
      mix(IntConstant<1>{});
    }
  }
}

// The tile of keys from `start`, of which `seen` are seen by some row.
static void attend_tile(const AttentionArguments& arguments, const AttentionState& state, std::int64_t start,
                        KeyRange seen) {
  const auto within = [&](KeyRange keys) {
    return KeyRange{larger(keys.begin - start, 0), smaller(keys.end - start, kKeyTile)};
  };
  const TileRows keys = tile_rows(arguments, arguments.keys, start, within(seen), state.keys, state.width);
  const TileRows values =
      tile_rows(arguments, arguments.values, start, within(seen), state.values, state.width);
  score_tile(state, keys);
  const auto range_of = [&](std::int64_t row) {
    return within(visible_keys(arguments, row / arguments.group_size));
  };
  for (std::int64_t row = 0; row < state.rows;) {
    const KeyRange range = range_of(row);
    std::int64_t next = row + 1;
    while (next < state.rows && next < row + kMixRows && range_of(next).begin == range.begin &&
           range_of(next).end == range.end) {
      ++next;
    }
    if (range.begin < range.end) {
      for (std::int64_t r = row; r < next; ++r) soften(arguments, state, r, range);
      switch (next - row) {
        case 4:
          mix_rows<4>(state, row, values, range);
          break;
        case 3:
          mix_rows<3>(state, row, values, range);
          break;
        case 2:
          mix_rows<2>(state, row, values, range);
          break;
        default:
          mix_rows<1>(state, row, values, range);
          break;
      }
    }
    row = next;
  }
}

static void attention(const AttentionArguments& arguments) {
  if (arguments.tokens <= 0 || arguments.group_size <= 0) return;
  const AttentionState state = make_state(arguments);
  const KeyRange seen{visible_keys(arguments, 0).begin, visible_keys(arguments, arguments.tokens - 1).end};
  for (std::int64_t start = seen.begin / kKeyTile * kKeyTile; start < seen.end; start += kKeyTile) {
    attend_tile(arguments, state, start, seen);
  }
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

}  // namespace tessera::kernels::TESSERA_ISA
