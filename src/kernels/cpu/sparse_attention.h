// Attention over tiles of queries and runs of keys, and its gradient, for training (kernels/sparse_tiles.h).
// Included by the translation units of one ISA after its vector header.
//
// A tile meets its keys up to kSparseTile at a time. Those of one run are read where they lie; short runs are
// gathered first, so that the matrix products have a shape worth their while. Only the keys a tile sees are
// ever touched. A tile does not know the other tiles, and adds to dkey and dvalue in its turn.
#pragma once
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/scratch.h"
#include "kernels/sparse_attention.h"

namespace tessera::kernels::TESSERA_ISA {

// Up to kSparseTile keys of a tile's runs, ascending.
struct SparseKeys {
  std::int64_t count;
  std::int64_t positions[kSparseTile];
  std::int64_t stride;  // of the rows behind `keys` and `values`
  const float* keys;
  const float* values;
  bool gathered;
};

// Where a walk along a tile's runs has come to.
struct RunCursor {
  std::int64_t run;
  std::int64_t next;  // key
};

static void copy_row(float* target, const float* source, std::int64_t count) {
  for_each_part(count, [&](std::int64_t i, std::int64_t rest)
                           TESSERA_LAMBDA { store_part(target + i, load_part(source + i, rest), rest); });
}

static void multiply_row(float* x, float factor, std::int64_t count) {
  const Float f = broadcast(factor);
  for_each_part(count, [&](std::int64_t i, std::int64_t rest)
                           TESSERA_LAMBDA { store_part(x + i, multiply(load_part(x + i, rest), f), rest); });
}

// The next keys of a tile; false when there are none. gathered_keys and gathered_values: [kSparseTile][D].
static bool next_keys(const SparseAttentionArguments& a, const QueryTile& tile, RunCursor& cursor,
                      SparseKeys& found, float* gathered_keys, float* gathered_values) {
  found.count = 0;
  std::int64_t runs = 0;
  while (cursor.run < tile.run_end && found.count < kSparseTile) {
    const KeyRun run = a.runs[cursor.run];
    std::int64_t key = cursor.next < run.begin ? run.begin : cursor.next;
    ++runs;
    for (; key < run.end && found.count < kSparseTile; key += tile.step) found.positions[found.count++] = key;
    cursor.next = key;
    if (key >= run.end) {
      ++cursor.run;
      cursor.next = 0;
    }
  }
  if (found.count == 0) return false;
  found.gathered = runs > 1;
  if (!found.gathered) {
    found.keys = a.key + found.positions[0] * a.key_value_stride;
    found.values = a.value + found.positions[0] * a.key_value_stride;
    found.stride = a.key_value_stride * tile.step;
    return true;
  }
  for (std::int64_t i = 0; i < found.count; ++i) {
    const std::int64_t at = found.positions[i] * a.key_value_stride;
    copy_row(gathered_keys + i * a.head_dim, a.key + at, a.head_dim);
    copy_row(gathered_values + i * a.head_dim, a.value + at, a.head_dim);
  }
  found.keys = gathered_keys;
  found.values = gathered_values;
  found.stride = a.head_dim;
  return true;
}

// Columns [low, high) of the keys that query q sees.
struct SparseColumns {
  std::int64_t low;
  std::int64_t high;
};
// `before`: the columns of an earlier query of the tile; both ends only ascend.
TESSERA_INLINE SparseColumns columns_seen(const SparseAttentionArguments& a, const SparseKeys& keys,
                                          std::int64_t q, SparseColumns before) {
  SparseColumns seen = before;
  while (seen.low < keys.count && keys.positions[seen.low] < q - a.past) ++seen.low;
  if (seen.high < seen.low) seen.high = seen.low;
  while (seen.high < keys.count && keys.positions[seen.high] <= q + a.future) ++seen.high;
  return seen;
}

// s = scale s, capped.
TESSERA_INLINE Float capped_score(const SparseAttentionArguments& a, Float s) {
  const Float scaled = multiply(s, broadcast(a.scale));
  if (a.logit_softcap <= 0.0F) return scaled;
  const Float cap = broadcast(a.logit_softcap);
  return multiply(cap, hyperbolic_tangent(divide(scaled, cap)));
}

static void fill_outside(float* row, SparseColumns seen, std::int64_t count, float filler) {
  for (std::int64_t c = 0; c < seen.low; ++c) row[c] = filler;
  for (std::int64_t c = seen.high; c < count; ++c) row[c] = filler;
}

// A row's maximum and total so far.
struct RunningSoftmax {
  float top;
  float total;
};

// New raw scores become weights relative to the new maximum, those of hidden keys 0; returns the factor for
// what was summed before (Milakov & Gimelshein 2018).
static float meet_scores(const SparseAttentionArguments& a, float* row, SparseColumns seen,
                         std::int64_t count, RunningSoftmax& state) {
  if (seen.low >= seen.high) {
    fill_outside(row, {0, 0}, count, 0.0F);
    return 1.0F;
  }
  const float lowest = -__builtin_inff();
  Float tops = broadcast(lowest);
  float* visible = row + seen.low;
  const std::int64_t width = seen.high - seen.low;
  for_each_part(width, [&](std::int64_t c, std::int64_t rest) TESSERA_LAMBDA {
    const Float s = capped_score(a, load_part(visible + c, rest));
    store_part(visible + c, s, rest);
    tops = maximum(tops, keep_first(s, rest, lowest));
  });
  const float highest = maximum_lane(tops);
  const float top = highest > state.top ? highest : state.top;
  const Float shift = broadcast(top);
  Float sums = zero();
  for_each_part(width, [&](std::int64_t c, std::int64_t rest) TESSERA_LAMBDA {
    const Float e = keep_first(exponential(subtract(load_part(visible + c, rest), shift)), rest, 0.0F);
    store_part(visible + c, e, rest);
    sums = add(sums, e);
  });
  fill_outside(row, seen, count, 0.0F);
  const float factor = state.top == lowest ? 0.0F : __builtin_expf(state.top - top);
  state.total = state.total * factor + sum_lanes(sums);
  state.top = top;
  return factor;
}

// products[r][c] = left row r . row c of the keys (or values), rows kSparseTile apart.
static void row_products(const SparseAttentionArguments& a, const QueryTile& tile, const float* left,
                         const float* right, const SparseKeys& keys, float* products) {
  gemm({.a = left,
        .a_row_stride = a.query_stride * tile.step,
        .a_depth_stride = 1,
        .b = right,
        .b_depth_stride = 1,
        .b_column_stride = keys.stride,
        .c = products,
        .c_stride = kSparseTile,
        .rows = tile.rows,
        .columns = keys.count,
        .depth = a.head_dim});
}

// target rows (+)= weights times the rows of keys or values.
static void mix_rows_of(const SparseAttentionArguments& a, const QueryTile& tile, const float* weights,
                        const float* rows, const SparseKeys& keys, float* target, bool accumulate) {
  gemm({.a = weights,
        .a_row_stride = kSparseTile,
        .a_depth_stride = 1,
        .b = rows,
        .b_depth_stride = keys.stride,
        .b_column_stride = 1,
        .c = target,
        .c_stride = a.query_stride * tile.step,
        .rows = tile.rows,
        .columns = a.head_dim,
        .depth = keys.count,
        .accumulate = accumulate});
}

static void sparse_forward_tile(const SparseAttentionArguments& a, const QueryTile& tile, std::int64_t head) {
  float* scores = thread_scratch(kSparseTile * (kSparseTile + 2 * a.head_dim));
  float* gathered_keys = scores + kSparseTile * kSparseTile;
  float* gathered_values = gathered_keys + kSparseTile * a.head_dim;
  const std::int64_t at = tile.first_row * a.query_stride + head * a.head_dim;
  const std::int64_t row_stride = a.query_stride * tile.step;
  RunningSoftmax states[kSparseTile];
  for (RunningSoftmax& state : states) state = {-__builtin_inff(), 0.0F};
  SparseKeys keys;
  RunCursor cursor{tile.run_begin, 0};
  for (bool first = true; next_keys(a, tile, cursor, keys, gathered_keys, gathered_values); first = false) {
    row_products(a, tile, a.query + at, keys.keys, keys, scores);
    SparseColumns seen{0, 0};
    for (std::int64_t r = 0; r < tile.rows; ++r) {
      seen = columns_seen(a, keys, tile.first_row + r * tile.step, seen);
      const float factor = meet_scores(a, scores + r * kSparseTile, seen, keys.count, states[r]);
      if (!first && factor != 1.0F) multiply_row(a.output + at + r * row_stride, factor, a.head_dim);
    }
    mix_rows_of(a, tile, scores, keys.values, keys, a.output + at, !first);
  }
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    multiply_row(a.output + at + r * row_stride, 1.0F / states[r].total, a.head_dim);
    a.log_sums[(tile.first_row + r * tile.step) * a.log_sum_stride + head] =
        states[r].top + __builtin_logf(states[r].total);
  }
}

static void sparse_attention(const SparseAttentionArguments& a) {
  for (std::int64_t index = a.tile_begin; index < a.tile_end; ++index) {
    for (std::int64_t head = a.head_begin; head < a.head_end; ++head) {
      sparse_forward_tile(a, a.tiles[index], head);
    }
  }
}

// What the backward of a tile works in.
struct SparseGradientMemory {
  float* probabilities;    // [kSparseTile][kSparseTile]
  float* gradients;        // of the scores, likewise
  float* gathered_keys;    // [kSparseTile][D]
  float* gathered_values;  // likewise
  float* key_sums;         // likewise: dkey and dvalue of gathered keys
  float* value_sums;
};

static SparseGradientMemory sparse_gradient_memory(std::int64_t head_dim) {
  const std::int64_t square = kSparseTile * kSparseTile;
  const std::int64_t rows = kSparseTile * head_dim;
  float* p = thread_scratch(2 * square + 4 * rows);
  float* keys = p + 2 * square;
  return {p, p + square, keys, keys + rows, keys + 2 * rows, keys + 3 * rows};
}

// probabilities and gradients = p (dp - delta) scale (1 - (score / cap)^2), from the raw scores in `row` and
// dp in `gradient`; both 0 where nothing is seen.
static void sparse_score_gradients(const SparseAttentionArguments& a, float* row, float* gradient,
                                   SparseColumns seen, std::int64_t count, float log_sum, float delta) {
  const Float scale_by = broadcast(a.scale);
  const Float per_cap = broadcast(a.logit_softcap > 0.0F ? 1.0F / a.logit_softcap : 0.0F);
  const Float shift = broadcast(log_sum);
  const Float mean = broadcast(delta);
  for_each_part(seen.high - seen.low, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
    const std::int64_t c = seen.low + i;
    const Float score = capped_score(a, load_part(row + c, rest));
    const Float probability = exponential(subtract(score, shift));
    const Float t = multiply(score, per_cap);
    const Float slope = multiply(subtract_product(t, t, broadcast(1.0F)), scale_by);
    const Float change = multiply(probability, subtract(load_part(gradient + c, rest), mean));
    store_part(row + c, probability, rest);
    store_part(gradient + c, multiply(change, slope), rest);
  });
  fill_outside(row, seen, count, 0.0F);
  fill_outside(gradient, seen, count, 0.0F);
}

// target rows (+)= weights transposed times the tile's rows of queries or of doutput.
static void sum_onto_keys(const SparseAttentionArguments& a, const QueryTile& tile, const float* weights,
                          const float* rows, std::int64_t count, float* target, std::int64_t stride,
                          bool accumulate) {
  gemm({.a = weights,
        .a_row_stride = 1,
        .a_depth_stride = kSparseTile,
        .b = rows,
        .b_depth_stride = a.query_stride * tile.step,
        .b_column_stride = 1,
        .c = target,
        .c_stride = stride,
        .rows = count,
        .columns = a.head_dim,
        .depth = tile.rows,
        .accumulate = accumulate});
}

TESSERA_INLINE float row_dot(const float* x, const float* y, std::int64_t count) {
  Float sums = zero();
  for_each_part(count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
    sums = multiply_add(load_part(x + i, rest), load_part(y + i, rest), sums);
  });
  return sum_lanes(sums);
}

// One head of a tile on some of its keys.
static void sparse_gradient_block(const SparseAttentionArguments& a, const QueryTile& tile, std::int64_t head,
                                  const SparseKeys& keys, const SparseGradientMemory& memory, bool first_keys,
                                  bool first_head) {
  const std::int64_t at = tile.first_row * a.query_stride + head * a.head_dim;
  const std::int64_t row_stride = a.query_stride * tile.step;
  row_products(a, tile, a.query + at, keys.keys, keys, memory.probabilities);
  row_products(a, tile, a.doutput + at, keys.values, keys, memory.gradients);
  SparseColumns seen{0, 0};
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    const std::int64_t q = tile.first_row + r * tile.step;
    seen = columns_seen(a, keys, q, seen);
    const float delta = row_dot(a.output + at + r * row_stride, a.doutput + at + r * row_stride, a.head_dim);
    sparse_score_gradients(a, memory.probabilities + r * kSparseTile, memory.gradients + r * kSparseTile,
                           seen, keys.count, a.log_sums[q * a.log_sum_stride + head], delta);
  }
  const std::int64_t key_at = keys.positions[0] * a.key_value_stride;
  float* dkey = keys.gathered ? memory.key_sums : a.dkey + key_at;
  float* dvalue = keys.gathered ? memory.value_sums : a.dvalue + key_at;
  const bool accumulate = !keys.gathered || !first_head;
  sum_onto_keys(a, tile, memory.probabilities, a.doutput + at, keys.count, dvalue, keys.stride, accumulate);
  sum_onto_keys(a, tile, memory.gradients, a.query + at, keys.count, dkey, keys.stride, accumulate);
  mix_rows_of(a, tile, memory.gradients, keys.keys, keys, a.dquery + at, !first_keys);
}

static void add_row(float* total, const float* row, std::int64_t count) {
  for_each_part(count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
    store_part(total + i, add(load_part(total + i, rest), load_part(row + i, rest)), rest);
  });
}

static void sparse_attention_gradient(const SparseAttentionArguments& a) {
  const SparseGradientMemory memory = sparse_gradient_memory(a.head_dim);
  SparseKeys keys;
  for (std::int64_t index = a.tile_begin; index < a.tile_end; ++index) {
    const QueryTile tile = a.tiles[index];
    RunCursor cursor{tile.run_begin, 0};
    for (bool first = true; next_keys(a, tile, cursor, keys, memory.gathered_keys, memory.gathered_values);
         first = false) {
      for (std::int64_t head = a.head_begin; head < a.head_end; ++head) {
        sparse_gradient_block(a, tile, head, keys, memory, first, head == a.head_begin);
      }
      if (!keys.gathered) continue;
      for (std::int64_t i = 0; i < keys.count; ++i) {
        const std::int64_t at = keys.positions[i] * a.key_value_stride;
        add_row(a.dkey + at, memory.key_sums + i * a.head_dim, a.head_dim);
        add_row(a.dvalue + at, memory.value_sums + i * a.head_dim, a.head_dim);
      }
    }
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
