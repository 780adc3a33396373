// Causal attention and its gradient as in flash_attention.h with products of bf16 (vdpbf16ps), sums and
// exponentials in float32. Included by one translation unit after gemm_bf16.h.
//
// Two neighbours of the summed dimension lie side by side in 32 bits. The right operand of a product is
// stored [pair][column]; the left one is read one pair at a time through two strides, so that rows as they
// are (pairs of neighbouring elements) and right operands (transposed) serve alike. The forward computes S^T
// and O^T, the backward sums dK^T and dV^T, whose left operands are Q^T and dO^T: so P and dS need no
// transposition.
#pragma once
#include "kernels/cpu/gemm_bf16.h"
#include "kernels/cpu/math.h"

namespace tessera::kernels::avx512_bf16 {

inline constexpr std::int64_t kFlashTile = 64;
inline constexpr std::int64_t kTilePairs = kFlashTile / 2;
inline constexpr int kTileVectors = kFlashTile / kLanes;

struct PairRows {
  const float* data;
  std::int64_t row_stride;
  std::int64_t pair_stride;
};
struct PairColumns {
  const float* data;
  std::int64_t pair_stride;
};

// Four rows by kVectors vectors of C = A B or C += A B; of C only `rows` are touched.
template <int kVectors>
static void four_rows(const PairRows& a, const PairColumns& b, std::int64_t pairs, float* c,
                      std::int64_t c_stride, std::int64_t rows, bool accumulate) {
  Float sums[4][kVectors];
  TESSERA_UNROLL
  for (int r = 0; r < 4; ++r) {
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = accumulate && r < rows ? load(c + r * c_stride + v * kLanes) : _mm512_setzero_ps();
    }
  }
  const float* left = a.data;
  const float* right = b.data;
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    __m512bh columns[kVectors];
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) columns[v] = (__m512bh)load(right + v * kLanes);
    TESSERA_UNROLL
    for (int r = 0; r < 4; ++r) {
      const auto x = (__m512bh)_mm512_set1_ps(left[r * a.row_stride]);
      TESSERA_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], x, columns[v]);
    }
    left += a.pair_stride;
    right += b.pair_stride;
  }
  TESSERA_UNROLL
  for (int r = 0; r < 4; ++r) {
    if (r >= rows) break;
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) store(c + r * c_stride + v * kLanes, sums[r][v]);
  }
}

// `columns` is a multiple of kLanes; A has rows (of any numbers) up to a multiple of four.
static void multiply_pairs(PairRows a, const PairColumns& b, std::int64_t pairs, float* c,
                           std::int64_t c_stride, std::int64_t rows, std::int64_t columns, bool accumulate) {
  for (std::int64_t row = 0; row < rows; row += 4) {
    std::int64_t column = 0;
    const auto step = [&](auto kernel, int vectors) {
      for (; column + vectors * kLanes <= columns; column += vectors * kLanes) {
        kernel(a, {b.data + column, b.pair_stride}, pairs, c + row * c_stride + column, c_stride, rows - row,
               accumulate);
      }
    };
    step(four_rows<4>, 4);
    step(four_rows<2>, 2);
    step(four_rows<1>, 1);
    a.data += 4 * a.row_stride;
  }
}

// Rows of x as bf16, [row][count / 2]; those from `rows` up to `padded` are zero. count is a multiple of 16.
static void round_rows(const float* x, std::int64_t stride, std::int64_t rows, std::int64_t padded,
                       std::int64_t count, float* target) {
  for (std::int64_t row = 0; row < padded; ++row) {
    for (std::int64_t i = 0; i < count; i += 2 * kLanes) {
      const std::int64_t here = smaller(2 * kLanes, count - i);
      const Float pairs = row < rows ? row_pairs(x + row * stride + i, here) : _mm512_setzero_ps();
      float* place = target + (row * count + i) / 2;
      _mm512_mask_storeu_ps(place, here == 2 * kLanes ? __mmask16{0xffff} : __mmask16{0xff}, pairs);
    }
  }
}

// Pairs of neighbouring elements of `rows` <= kFlashTile rows, transposed: target[pair][kFlashTile].
static void round_transposed(const float* x, std::int64_t stride, std::int64_t rows, std::int64_t count,
                             float* target) {
  for (std::int64_t row = 0; row < kFlashTile; row += kLanes) {
    pack_sixteen(x + row * stride, stride, 1, count, rows > row ? rows - row : 0,
                 [&](std::int64_t pair, Float v)
                     TESSERA_LAMBDA { store(target + pair * kFlashTile + row, v); });
  }
}

// Pairs of neighbouring rows: target[pair][count], of (rows + 1) / 2 pairs.
static void round_row_pairs(const float* x, std::int64_t stride, std::int64_t rows, std::int64_t count,
                            float* target) {
  for (std::int64_t i = 0; i < count; i += kLanes) {
    pack_sixteen(x + i, 1, stride, rows, kLanes,
                 [&](std::int64_t pair, Float v) TESSERA_LAMBDA { store(target + pair * count + i, v); });
  }
}

// Which of the keys [key, key + keys), keys <= 64, query `t` sees, a bit each.
static inline std::uint64_t visible_keys(const FlashAttentionArguments& a, std::int64_t t, std::int64_t key,
                                         std::int64_t keys) {
  const std::int64_t oldest = a.sliding_window > 0 ? t - a.sliding_window + 1 : 0;
  const std::int64_t high = smaller(keys, t - key + 1);
  const std::int64_t low = oldest > key ? oldest - key : 0;
  if (high <= low) return 0;
  const std::uint64_t below = high == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << high) - 1;
  return below & ~((std::uint64_t{1} << low) - 1);
}
static inline __mmask16 lanes_of(std::uint64_t visible, int vector) {
  return static_cast<__mmask16>(visible >> (vector * kLanes));
}

static inline std::int64_t first_key_tile(const FlashAttentionArguments& a, std::int64_t t) {
  if (a.sliding_window == 0 || t < a.sliding_window) return 0;
  return (t - a.sliding_window + 1) / kFlashTile * kFlashTile;
}

// What the forward keeps of the 64 queries of a tile, a lane each.
struct QueryState {
  alignas(64) float tops[kFlashTile];
  alignas(64) float totals[kFlashTile];
  alignas(64) float factors[kFlashTile];  // by which what was summed before must be multiplied
};

// Sixteen queries, the first of them `t`, meet the scores of the keys from `key` on, scores[key][kFlashTile]:
// these become probabilities relative to the new maximum, as pairs of keys. kAll: every query sees every key.
template <bool kAll>
static void online_softmax(const FlashAttentionArguments& a, const float* scores, std::int64_t t,
                           std::int64_t key, std::int64_t keys, float* probabilities, QueryState& state,
                           std::int64_t at) {
  const Float lowest = _mm512_set1_ps(-__builtin_inff());
  const Float scale = _mm512_set1_ps(a.scale);
  const Int lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const auto visible = [&](std::int64_t j) TESSERA_LAMBDA {
    if constexpr (kAll) return __mmask16{0xffff};
    const Int age = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(t - key - j)), lanes);
    const __mmask16 past = _mm512_cmpge_epi32_mask(age, _mm512_setzero_si512());
    if (a.sliding_window == 0) return past;
    const auto window = static_cast<int>(smaller(a.sliding_window, INT32_MAX));
    return static_cast<__mmask16>(past & _mm512_cmplt_epi32_mask(age, _mm512_set1_epi32(window)));
  };
  const Float old_top = load(state.tops + at);
  Float top = old_top;
  for (std::int64_t j = 0; j < keys; ++j) {
    const Float scaled = _mm512_mul_ps(load(scores + j * kFlashTile), scale);
    top = _mm512_mask_max_ps(top, visible(j), top, scaled);
  }
  // Of a query that has seen nothing yet every probability is 0, whatever is subtracted.
  const Float shift = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(top, lowest, _CMP_NEQ_UQ), top);
  Float sums = _mm512_setzero_ps();
  const auto probability = [&](std::int64_t j) TESSERA_LAMBDA {
    const Float shifted = _mm512_fmsub_ps(load(scores + j * kFlashTile), scale, shift);
    const Float p = _mm512_maskz_mov_ps(visible(j), avx512::exponential(shifted));
    sums = _mm512_add_ps(sums, p);
    return p;
  };
  for (std::int64_t j = 0; j < keys; j += 2) {
    const Float first = probability(j);
    const Float second = j + 1 < keys ? probability(j + 1) : _mm512_setzero_ps();
    store(probabilities + j / 2 * kFlashTile, paired(first, second));
  }
  const Float factor = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(old_top, lowest, _CMP_NEQ_UQ),
                                           avx512::exponential(_mm512_sub_ps(old_top, shift)));
  store(state.tops + at, top);
  store(state.totals + at, _mm512_fmadd_ps(load(state.totals + at), factor, sums));
  store(state.factors + at, factor);
}

// x[i][j] *= factors[j] for `rows` rows of `columns`, kFlashTile apart.
static void scale_columns(float* x, std::int64_t rows, std::int64_t columns, const float* factors) {
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; j += kLanes) {
      float* place = x + i * kFlashTile + j;
      store(place, _mm512_mul_ps(load(place), load(factors + j)));
    }
  }
}

static bool all_ones(const float* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes) {
    if (_mm512_cmp_ps_mask(load(x + i), _mm512_set1_ps(1.0F), _CMP_NEQ_UQ) != 0) return false;
  }
  return true;
}

// target[i][j] = x[j][i], or added to it, for i < rows of x's kFlashTile columns.
static void store_transposed(const float* x, std::int64_t rows, std::int64_t columns, float* target,
                             std::int64_t stride, bool accumulate) {
  for (std::int64_t i = 0; i < rows; i += kLanes) {
    for (std::int64_t j = 0; j < columns; j += kLanes) {
      transpose_rows([&](int line) TESSERA_LAMBDA { return load(x + (j + line) * kFlashTile + i); },
                     [&](int line, Float v) TESSERA_LAMBDA {
                       if (i + line >= rows) return;
                       float* place = target + (i + line) * stride + j;
                       store(place, accumulate ? _mm512_add_ps(load(place), v) : v);
                     });
    }
  }
}

// Scores and output are kept transposed, S^T = K Q^T and O^T = V^T P^T: a query is a lane, so that its
// maximum and its sum cross no lanes, and V needs no transposition.
static void flash_attention_tile(const FlashAttentionArguments& a, std::int64_t row, std::int64_t rows) {
  const std::int64_t width = a.head_dim;
  float* queries = thread_scratch(kFlashTile * (5 * width / 2 + kFlashTile + kTilePairs));
  float* keys_rounded = queries + kFlashTile * width / 2;
  float* values = keys_rounded + kFlashTile * width / 2;
  float* output = values + kTilePairs * width;
  float* scores = output + kFlashTile * width;
  float* probabilities = scores + kFlashTile * kFlashTile;
  const std::int64_t columns = rounded_up(rows, kLanes);
  QueryState state;
  for (std::int64_t i = 0; i < kFlashTile; ++i) {
    state.tops[i] = -__builtin_inff();
    state.totals[i] = 0.0F;
  }
  round_transposed(a.query + row * a.query_stride + a.head * width, a.query_stride, rows, width, queries);
  const std::int64_t first = first_key_tile(a, row);
  for (std::int64_t key = first; key < row + rows; key += kFlashTile) {
    const std::int64_t keys = smaller(kFlashTile, row + rows - key);
    const bool all =
        key + keys <= row + 1 && (a.sliding_window == 0 || row + columns - a.sliding_window <= key);
    round_rows(a.key + key * a.key_value_stride, a.key_value_stride, keys, rounded_up(keys, 4), width,
               keys_rounded);
    round_row_pairs(a.value + key * a.key_value_stride, a.key_value_stride, keys, width, values);
    multiply_pairs({keys_rounded, width / 2, 1}, {queries, kFlashTile}, width / 2, scores, kFlashTile, keys,
                   columns, false);
    for (std::int64_t at = 0; at < columns; at += kLanes) {
      (all ? online_softmax<true> : online_softmax<false>)(a, scores + at, row + at, key, keys,
                                                           probabilities + at, state, at);
    }
    if (key > first && !all_ones(state.factors, columns))
      scale_columns(output, width, columns, state.factors);
    multiply_pairs({values, 1, width}, {probabilities, kFlashTile}, (keys + 1) / 2, output, kFlashTile, width,
                   columns, key > first);
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    a.log_sums[(row + r) * a.log_sum_stride + a.head] = state.tops[r] + __builtin_logf(state.totals[r]);
  }
  for (std::int64_t at = 0; at < columns; at += kLanes) {
    store(state.factors + at, _mm512_div_ps(_mm512_set1_ps(1.0F), load(state.totals + at)));
  }
  scale_columns(output, width, columns, state.factors);
  store_transposed(output, rows, width, a.output + row * a.query_stride + a.head * width, a.query_stride,
                   false);
}

// row_begin is a multiple of kFlashTile.
static void flash_attention(const FlashAttentionArguments& a) {
  for (std::int64_t row = a.row_begin; row < a.row_end; row += kFlashTile) {
    flash_attention_tile(a, row, smaller(kFlashTile, a.row_end - row));
  }
}

// What the backward reads, as bf16, of T tokens rounded up to whole tiles.
struct FlashOperands {
  float* keys_transposed;    // [tile][D / 2][kFlashTile]
  float* values_transposed;  // likewise
  float* key_pairs;          // [T / 2][D], pairs of tokens
  float* queries;            // [T][D / 2]
  float* query_pairs;        // [T / 2][D]
  float* gradients;          // dO: [T][D / 2]
  float* gradient_pairs;     // [T / 2][D]
};

struct FlashTiles {
  float* scores;          // [kFlashTile][kFlashTile]
  float* dprobabilities;  // dO V^T, likewise
  float* probabilities;   // [kTilePairs][kFlashTile]: pairs of queries
  float* dscore_pairs;    // likewise
  float* dscores;         // [kFlashTile][kTilePairs]: pairs of keys
  float* dkeys;           // [D][kFlashTile]
  float* dvalues;         // likewise
  const float* deltas;    // [T]: dO . O of each row
};

// P and dS = P (dP - delta) scale of two rows at a time.
static void flash_score_gradients(const FlashAttentionArguments& a, const FlashTiles& tiles,
                                  std::int64_t head, std::int64_t row, std::int64_t rows, std::int64_t key,
                                  std::int64_t keys) {
  const Float scale = _mm512_set1_ps(a.scale);
  for (std::int64_t r = 0; r < rounded_up(rows, 2); r += 2) {
    Float p[2][kTileVectors];
    Float ds[2][kTileVectors];
    TESSERA_UNROLL
    for (int i = 0; i < 2; ++i) {
      const bool there = r + i < rows;
      const std::int64_t t = there ? row + r + i : row;
      const std::uint64_t visible = there ? visible_keys(a, t, key, keys) : 0;
      const Float log_sum = _mm512_set1_ps(a.log_sums[t * a.log_sum_stride + head]);
      const Float delta = _mm512_set1_ps(tiles.deltas[t]);
      const float* scores = tiles.scores + (r + i) * kFlashTile;
      const float* dprobabilities = tiles.dprobabilities + (r + i) * kFlashTile;
      TESSERA_UNROLL
      for (int v = 0; v < kTileVectors; ++v) {
        const Float shifted = _mm512_fmsub_ps(load(scores + v * kLanes), scale, log_sum);
        p[i][v] = _mm512_maskz_mov_ps(lanes_of(visible, v), avx512::exponential(shifted));
        const Float change = _mm512_sub_ps(load(dprobabilities + v * kLanes), delta);
        ds[i][v] = _mm512_maskz_mul_ps(lanes_of(visible, v), _mm512_mul_ps(p[i][v], scale), change);
      }
      TESSERA_UNROLL
      for (int v = 0; v < kTileVectors; v += 2) {
        store(tiles.dscores + (r + i) * kTilePairs + v / 2 * kLanes,
              as_float((Int)_mm512_cvtne2ps_pbh(ds[i][v + 1], ds[i][v])));
      }
    }
    TESSERA_UNROLL
    for (int v = 0; v < kTileVectors; ++v) {
      store(tiles.probabilities + r / 2 * kFlashTile + v * kLanes, paired(p[0][v], p[1][v]));
      store(tiles.dscore_pairs + r / 2 * kFlashTile + v * kLanes, paired(ds[0][v], ds[1][v]));
    }
  }
}

// One tile's part of dq, dk and dv.
static void flash_gradient_tile(const FlashAttentionArguments& a, const FlashOperands& in,
                                const FlashTiles& tiles, std::int64_t head, std::int64_t row,
                                std::int64_t key) {
  const std::int64_t width = a.head_dim;
  const std::int64_t half = width / 2;
  const std::int64_t rows = smaller(kFlashTile, a.tokens - row);
  const std::int64_t keys = smaller(kFlashTile, a.tokens - key);
  multiply_pairs({in.queries + row * half, half, 1}, {in.keys_transposed + key * half, kFlashTile}, half,
                 tiles.scores, kFlashTile, rows, kFlashTile, false);
  multiply_pairs({in.gradients + row * half, half, 1}, {in.values_transposed + key * half, kFlashTile}, half,
                 tiles.dprobabilities, kFlashTile, rows, kFlashTile, false);
  flash_score_gradients(a, tiles, head, row, rows, key, keys);
  const std::int64_t row_pairs_here = (rows + 1) / 2;
  multiply_pairs({in.gradient_pairs + row * half, 1, width},
                 {tiles.probabilities, kFlashTile},  // dV^T += dO^T P
                 row_pairs_here, tiles.dvalues, kFlashTile, width, kFlashTile, row > key);
  multiply_pairs({in.query_pairs + row * half, 1, width}, {tiles.dscore_pairs, kFlashTile},  // dK^T += Q^T dS
                 row_pairs_here, tiles.dkeys, kFlashTile, width, kFlashTile, row > key);
  multiply_pairs({tiles.dscores, kTilePairs, 1}, {in.key_pairs + key * half, width},
                 (keys + 1) / 2,  // dQ += dS K
                 a.dquery + row * a.query_stride + head * width, a.query_stride, rows, width,
                 key > first_key_tile(a, row));
}

static void round_keys(const FlashAttentionArguments& a, const FlashOperands& in) {
  for (std::int64_t key = 0; key < a.tokens; key += kFlashTile) {
    const std::int64_t keys = smaller(kFlashTile, a.tokens - key);
    const std::int64_t at = key * a.key_value_stride;
    const std::int64_t place = key * a.head_dim / 2;
    round_transposed(a.key + at, a.key_value_stride, keys, a.head_dim, in.keys_transposed + place);
    round_transposed(a.value + at, a.key_value_stride, keys, a.head_dim, in.values_transposed + place);
    round_row_pairs(a.key + at, a.key_value_stride, keys, a.head_dim, in.key_pairs + place);
  }
}

static void round_queries(const FlashAttentionArguments& a, const FlashOperands& in, std::int64_t head,
                          float* deltas) {
  const std::int64_t at = head * a.head_dim;
  const std::int64_t padded = rounded_up(a.tokens, kFlashTile);
  round_rows(a.query + at, a.query_stride, a.tokens, padded, a.head_dim, in.queries);
  round_rows(a.doutput + at, a.query_stride, a.tokens, padded, a.head_dim, in.gradients);
  round_row_pairs(a.query + at, a.query_stride, a.tokens, a.head_dim, in.query_pairs);
  round_row_pairs(a.doutput + at, a.query_stride, a.tokens, a.head_dim, in.gradient_pairs);
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    const float* o = a.output + t * a.query_stride + at;
    const float* d = a.doutput + t * a.query_stride + at;
    Float sums = _mm512_setzero_ps();
    for (std::int64_t i = 0; i < a.head_dim; i += kLanes)
      sums = _mm512_fmadd_ps(load(o + i), load(d + i), sums);
    deltas[t] = avx512::sum_lanes(sums);
  }
}

static void flash_attention_gradient(const FlashAttentionArguments& a) {
  const std::int64_t width = a.head_dim;
  const std::int64_t padded = rounded_up(a.tokens, kFlashTile);
  const std::int64_t operand = padded * width / 2;
  constexpr std::int64_t kSquare = kFlashTile * kFlashTile;
  float* memory = thread_scratch(7 * operand + padded + 7 * kSquare / 2 + 2 * kFlashTile * width);
  const auto take = [&](std::int64_t floats) {
    float* const here = memory;
    memory += floats;
    return here;
  };
  const FlashOperands in{take(operand), take(operand), take(operand), take(operand),
                         take(operand), take(operand), take(operand)};
  float* deltas = take(padded);
  const FlashTiles tiles{.scores = take(kSquare),
                         .dprobabilities = take(kSquare),
                         .probabilities = take(kSquare / 2),
                         .dscore_pairs = take(kSquare / 2),
                         .dscores = take(kSquare / 2),
                         .dkeys = take(kFlashTile * width),
                         .dvalues = take(kFlashTile * width),
                         .deltas = deltas};
  round_keys(a, in);
  for (std::int64_t head = 0; head < a.group_size; ++head) {
    round_queries(a, in, head, deltas);
    for (std::int64_t key = 0; key < a.tokens; key += kFlashTile) {
      for (std::int64_t row = key; row < a.tokens && first_key_tile(a, row) <= key; row += kFlashTile) {
        flash_gradient_tile(a, in, tiles, head, row, key);
      }
      const std::int64_t keys = smaller(kFlashTile, a.tokens - key);
      const std::int64_t at = key * a.key_value_stride;
      store_transposed(tiles.dkeys, keys, width, a.dkey + at, a.key_value_stride, head > 0);
      store_transposed(tiles.dvalues, keys, width, a.dvalue + at, a.key_value_stride, head > 0);
    }
  }
}

}  // namespace tessera::kernels::avx512_bf16
