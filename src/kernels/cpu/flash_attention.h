// Causal attention and its gradient over tiles of kFlashTile queries by kFlashTile keys, for training
// (Dao et al. 2022). Included by the translation units of one ISA after its vector header.
//
// Tiles begin at multiples of kFlashTile of a sequence's own tokens, and a row meets them in ascending order,
// so its bits do not depend on how rows are divided among threads. The log sums of the forward let the
// backward have each probability back with one exponential.
#pragma once
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/training.h"

namespace tessera::kernels::TESSERA_ISA {

inline constexpr std::int64_t kFlashTile = 64;

static void scale_row(float* x, float factor, std::int64_t count) {
  const Float f = broadcast(factor);
  for_each_part(count, [&](std::int64_t i, std::int64_t rest)
                           TESSERA_LAMBDA { store_part(x + i, multiply(load_part(x + i, rest), f), rest); });
}

TESSERA_INLINE std::int64_t flash_smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// Columns [low, high) of a tile of keys from `first_key` that query `t` sees.
struct VisibleKeys {
  std::int64_t low;
  std::int64_t high;
};
TESSERA_INLINE VisibleKeys visible_keys(const FlashAttentionArguments& a, std::int64_t t,
                                        std::int64_t first_key, std::int64_t keys) {
  const std::int64_t oldest = a.sliding_window > 0 ? t - a.sliding_window + 1 : 0;
  const std::int64_t low = oldest > first_key ? oldest - first_key : 0;
  const std::int64_t high = flash_smaller(keys, t - first_key + 1);
  return {flash_smaller(low, keys), high > 0 ? high : 0};
}

TESSERA_INLINE std::int64_t first_key_tile(const FlashAttentionArguments& a, std::int64_t t) {
  if (a.sliding_window == 0 || t < a.sliding_window) return 0;
  return (t - a.sliding_window + 1) / kFlashTile * kFlashTile;
}

// scores[r][c] = q[row + r] . k[key + c], rows kFlashTile apart, not yet scaled.
static void flash_scores(const FlashAttentionArguments& a, std::int64_t head, std::int64_t row,
                         std::int64_t rows, std::int64_t key, std::int64_t keys, float* scores) {
  gemm({.a = a.query + row * a.query_stride + head * a.head_dim,
        .a_row_stride = a.query_stride,
        .a_depth_stride = 1,
        .b = a.key + key * a.key_value_stride,
        .b_depth_stride = 1,
        .b_column_stride = a.key_value_stride,
        .c = scores,
        .c_stride = kFlashTile,
        .rows = rows,
        .columns = keys,
        .depth = a.head_dim});
}

// s = scale s, capped.
TESSERA_INLINE Float scaled_score(const FlashAttentionArguments& a, Float s) {
  const Float scaled = multiply(s, broadcast(a.scale));
  if (a.logit_softcap <= 0.0F) return scaled;
  const Float cap = broadcast(a.logit_softcap);
  return multiply(cap, hyperbolic_tangent(divide(scaled, cap)));
}

// One row of a tile meets its new scores: they become probabilities relative to the new maximum, hidden ones
// 0; returns the factor that what was summed before must be multiplied by.
TESSERA_INLINE float online_softmax(const FlashAttentionArguments& a, float* row, VisibleKeys seen,
                                    std::int64_t keys, float& top, float& total) {
  const float lowest = -__builtin_inff();
  for (std::int64_t c = 0; c < seen.low; ++c) row[c] = lowest;
  for (std::int64_t c = seen.high > seen.low ? seen.high : seen.low; c < keys; ++c) row[c] = lowest;
  Float tops = broadcast(lowest);
  for_each_part(keys, [&](std::int64_t c, std::int64_t rest) TESSERA_LAMBDA {
    const Float s = load_part(row + c, rest);
    // The cap would bring a hidden score back from minus infinity.
    const Float visible = select_less(broadcast(lowest), s, scaled_score(a, s), broadcast(lowest));
    store_part(row + c, visible, rest);
    tops = maximum(tops, keep_first(visible, rest, lowest));
  });
  const float highest = maximum_lane(tops);
  const float new_top = highest > top ? highest : top;
  if (new_top == lowest) {  // nothing seen yet
    for (std::int64_t c = 0; c < keys; ++c) row[c] = 0.0F;
    return 1.0F;
  }
  Float sums = zero();
  const Float shift = broadcast(new_top);
  for_each_part(keys, [&](std::int64_t c, std::int64_t rest) TESSERA_LAMBDA {
    const Float e = keep_first(exponential(subtract(load_part(row + c, rest), shift)), rest, 0.0F);
    store_part(row + c, e, rest);
    sums = add(sums, e);
  });
  const float factor = top == lowest ? 0.0F : __builtin_expf(top - new_top);
  total = total * factor + sum_lanes(sums);
  top = new_top;
  return factor;
}

// Drops of the probabilities (or their gradients) of query `t`, in a row of kFlashTile, those that dropout
// says.
static void flash_dropout(const FlashAttentionArguments& a, std::int64_t head, std::int64_t t,
                          std::int64_t first_key, float* row) {
  const std::uint32_t key = attention_dropout_row(a.dropout, t * a.log_sum_stride + head);
  const auto first = static_cast<std::uint32_t>(first_key);
  for (std::uint32_t c = 0; c < kFlashTile; ++c) {
    row[c] *= attention_dropout_factor(a.dropout, key, first + c);
  }
}

static void flash_attention_tile(const FlashAttentionArguments& a, std::int64_t row, std::int64_t rows) {
  float* scores = thread_scratch(kFlashTile * kFlashTile);
  float tops[kFlashTile];
  float totals[kFlashTile];
  float* output = a.output + row * a.query_stride + a.head * a.head_dim;
  for (std::int64_t r = 0; r < rows; ++r) {
    tops[r] = -__builtin_inff();
    totals[r] = 0.0F;
  }
  const std::int64_t first = first_key_tile(a, row);
  for (std::int64_t key = first; key < row + rows; key += kFlashTile) {
    const std::int64_t keys = flash_smaller(kFlashTile, row + rows - key);
    flash_scores(a, a.head, row, rows, key, keys, scores);
    for (std::int64_t r = 0; r < rows; ++r) {
      const VisibleKeys seen = visible_keys(a, row + r, key, keys);
      const float factor = online_softmax(a, scores + r * kFlashTile, seen, keys, tops[r], totals[r]);
      if (a.dropout.threshold != 0) flash_dropout(a, a.head, row + r, key, scores + r * kFlashTile);
      if (key > first && factor != 1.0F) scale_row(output + r * a.query_stride, factor, a.head_dim);
    }
    gemm({.a = scores,
          .a_row_stride = kFlashTile,
          .a_depth_stride = 1,
          .b = a.value + key * a.key_value_stride,
          .b_depth_stride = a.key_value_stride,
          .b_column_stride = 1,
          .c = output,
          .c_stride = a.query_stride,
          .rows = rows,
          .columns = a.head_dim,
          .depth = keys,
          .accumulate = key > first});
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    scale_row(output + r * a.query_stride, 1.0F / totals[r], a.head_dim);
    a.log_sums[(row + r) * a.log_sum_stride + a.head] = tops[r] + __builtin_logf(totals[r]);
  }
}

// row_begin is a multiple of kFlashTile.
static void flash_attention(const FlashAttentionArguments& a) {
  for (std::int64_t row = a.row_begin; row < a.row_end; row += kFlashTile) {
    flash_attention_tile(a, row, flash_smaller(kFlashTile, a.row_end - row));
  }
}

// What the backward keeps of one tile.
struct FlashGradientTile {
  float* probabilities;  // [kFlashTile][kFlashTile]
  float* gradients;      // of the scores, likewise
  const float* deltas;   // [group][T]: dO . O of each row
};

// probabilities = p, dropped, and gradients = p (dp - delta) scale (1 - (score / cap)^2), from the raw scores
// in `probabilities` and dp in `gradients`.
static void flash_score_gradients(const FlashAttentionArguments& a, const FlashGradientTile& tile,
                                  std::int64_t head, std::int64_t row, std::int64_t rows, std::int64_t key,
                                  std::int64_t keys) {
  const Float scale_by = broadcast(a.scale);
  const Float per_cap = broadcast(a.logit_softcap > 0.0F ? 1.0F / a.logit_softcap : 0.0F);
  for (std::int64_t r = 0; r < rows; ++r) {
    float* p = tile.probabilities + r * kFlashTile;
    float* ds = tile.gradients + r * kFlashTile;
    const bool drops = a.dropout.threshold != 0;
    if (drops) flash_dropout(a, head, row + r, key, ds);
    const Float log_sum = broadcast(a.log_sums[(row + r) * a.log_sum_stride + head]);
    const Float delta = broadcast(tile.deltas[head * a.tokens + row + r]);
    for_each_part(keys, [&](std::int64_t c, std::int64_t rest) TESSERA_LAMBDA {
      const Float score = scaled_score(a, load_part(p + c, rest));
      const Float probability = exponential(subtract(score, log_sum));
      const Float t = multiply(score, per_cap);
      const Float slope = multiply(subtract_product(t, t, broadcast(1.0F)), scale_by);
      const Float change = multiply(probability, subtract(load_part(ds + c, rest), delta));
      store_part(p + c, probability, rest);
      store_part(ds + c, multiply(change, slope), rest);
    });
    const VisibleKeys seen = visible_keys(a, row + r, key, keys);
    const auto hide = [&](std::int64_t c) { p[c] = ds[c] = 0.0F; };
    for (std::int64_t c = 0; c < seen.low; ++c) hide(c);
    for (std::int64_t c = seen.high > seen.low ? seen.high : seen.low; c < keys; ++c) hide(c);
    if (drops) flash_dropout(a, head, row + r, key, p);  // dV is of what was kept
  }
}

// One tile's part of dq, dk and dv.
static void flash_gradient_tile(const FlashAttentionArguments& a, const FlashGradientTile& tile,
                                std::int64_t head, std::int64_t row, std::int64_t rows, std::int64_t key,
                                std::int64_t keys, bool first_of_keys) {
  const std::int64_t queries_at = row * a.query_stride + head * a.head_dim;
  const std::int64_t keys_at = key * a.key_value_stride;
  flash_scores(a, head, row, rows, key, keys, tile.probabilities);
  gemm({.a = a.doutput + queries_at,  // dp = dO V^T
        .a_row_stride = a.query_stride,
        .a_depth_stride = 1,
        .b = a.value + keys_at,
        .b_depth_stride = 1,
        .b_column_stride = a.key_value_stride,
        .c = tile.gradients,
        .c_stride = kFlashTile,
        .rows = rows,
        .columns = keys,
        .depth = a.head_dim});
  flash_score_gradients(a, tile, head, row, rows, key, keys);
  const auto transposed_times_rows = [&](const float* left, const float* right, float* target) {
    gemm({.a = left,
          .a_row_stride = 1,
          .a_depth_stride = kFlashTile,
          .b = right,
          .b_depth_stride = a.query_stride,
          .b_column_stride = 1,
          .c = target,
          .c_stride = a.key_value_stride,
          .rows = keys,
          .columns = a.head_dim,
          .depth = rows,
          .accumulate = !first_of_keys});
  };
  transposed_times_rows(tile.probabilities, a.doutput + queries_at, a.dvalue + keys_at);  // dV += P^T dO
  transposed_times_rows(tile.gradients, a.query + queries_at, a.dkey + keys_at);          // dK += dS^T Q
  gemm({.a = tile.gradients,                                                              // dQ += dS K
        .a_row_stride = kFlashTile,
        .a_depth_stride = 1,
        .b = a.key + keys_at,
        .b_depth_stride = a.key_value_stride,
        .b_column_stride = 1,
        .c = a.dquery + queries_at,
        .c_stride = a.query_stride,
        .rows = rows,
        .columns = a.head_dim,
        .depth = keys,
        .accumulate = key > first_key_tile(a, row)});
}

static void flash_attention_gradient(const FlashAttentionArguments& a) {
  float* scratch = thread_scratch(2 * kFlashTile * kFlashTile + a.group_size * a.tokens);
  float* deltas = scratch + 2 * kFlashTile * kFlashTile;
  for (std::int64_t g = 0; g < a.group_size; ++g) {
    for (std::int64_t t = 0; t < a.tokens; ++t) {
      const float* o = a.output + t * a.query_stride + g * a.head_dim;
      const float* d = a.doutput + t * a.query_stride + g * a.head_dim;
      Float sums = zero();
      for_each_part(a.head_dim, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
        sums = multiply_add(load_part(o + i, rest), load_part(d + i, rest), sums);
      });
      deltas[g * a.tokens + t] = sum_lanes(sums);
    }
  }
  const FlashGradientTile tile{scratch, scratch + kFlashTile * kFlashTile, deltas};
  for (std::int64_t key = 0; key < a.tokens; key += kFlashTile) {
    const std::int64_t keys = flash_smaller(kFlashTile, a.tokens - key);
    bool first = true;
    for (std::int64_t g = 0; g < a.group_size; ++g) {
      for (std::int64_t row = key; row < a.tokens && first_key_tile(a, row) <= key; row += kFlashTile) {
        const std::int64_t rows = flash_smaller(kFlashTile, a.tokens - row);
        flash_gradient_tile(a, tile, g, row, rows, key, keys, first);
        first = false;
      }
    }
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
