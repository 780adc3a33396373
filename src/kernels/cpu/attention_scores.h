// scores[row, key] = query · key for the rows and keys of a tile. Included by the translation units of one
// ISA after its vector header.
//
// Keys lie [D][16 keys], so a vector holds one element of kLanes keys, and a score is one fused multiply-add
// after another in ascending d, in one lane: no horizontal sums, and the same bits however many rows or keys
// share the registers.
#pragma once
#include "kernels/cpu/attention_state.h"

namespace tessera::kernels::TESSERA_ISA {

// Elements of the cache as float32. A pack is kPack elements that a layout puts side by side in 32 bits.
struct CacheF32 {
  static constexpr DType kType = DType::f32;
  static constexpr int kPack = 1;
  static constexpr std::int64_t kBytes = 4;  // of a pack
  TESSERA_INLINE static void load(const std::byte* p, Float (&v)[kPack]) {
    v[0] = TESSERA_ISA::load(reinterpret_cast<const float*>(p));
  }
};

struct CacheF16 {
  static constexpr DType kType = DType::f16;
  static constexpr int kPack = 1;
  static constexpr std::int64_t kBytes = 2;
  TESSERA_INLINE static void load(const std::byte* p, Float (&v)[kPack]) { v[0] = load_f16(p); }
};

struct CacheBf16 {
  static constexpr DType kType = DType::bf16;
  static constexpr int kPack = 2;
  static constexpr std::int64_t kBytes = 4;
  TESSERA_INLINE static void load(const std::byte* p, Float (&v)[kPack]) {
    const Int both = load_words(p);
    v[0] = float_of_bits(shift_left(both, 16));
    v[1] = float_of_bits(bit_and(both, static_cast<std::int32_t>(0xffff0000U)));
  }
};

// kColumns vectors of keys from `column` on.
template <typename Keys, int kRows, int kColumns>
TESSERA_INLINE void score_columns(const TileGroups& groups, std::int64_t column, const float* queries,
                                  std::int64_t width, std::int64_t head_dim, float* scores) {
  Float sums[kRows][kColumns];
  const std::byte* source[kColumns];
  TESSERA_UNROLL
  for (int c = 0; c < kColumns; ++c) {
    const std::int64_t key = (column + c) * kLanes;
    source[c] = groups.keys[key / kKeyGroup] + key % kKeyGroup * Keys::kBytes;
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) sums[r][c] = zero();
  }
  for (std::int64_t d = 0; d < head_dim; d += Keys::kPack) {
    Float keys[kColumns][Keys::kPack];
    TESSERA_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      Keys::load(source[c], keys[c]);
      source[c] += kKeyGroup * Keys::kBytes;
    }
    TESSERA_UNROLL
    for (int p = 0; p < Keys::kPack; ++p) {
      TESSERA_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const Float query = broadcast(queries[r * width + d + p]);
        TESSERA_UNROLL
        for (int c = 0; c < kColumns; ++c) sums[r][c] = multiply_add(query, keys[c][p], sums[r][c]);
      }
    }
  }
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    TESSERA_UNROLL
    for (int c = 0; c < kColumns; ++c) store(scores + r * kKeyTile + (column + c) * kLanes, sums[r][c]);
  }
}

// Columns [columns) of kRows rows from `row` on.
template <typename Keys, int kRows>
static void score_rows(const AttentionArguments& arguments, const AttentionState& state,
                       const TileGroups& groups, std::int64_t row, KeyRange columns) {
  constexpr int kWide = 4 * kRows <= 2 * kMostRows ? 4 : 2;
  const float* queries = state.queries + row * state.width;
  std::int64_t column = columns.begin;
  for (; column + kWide <= columns.end; column += kWide) {
    score_columns<Keys, kRows, kWide>(groups, column, queries, state.width, arguments.head_dim, state.scores);
  }
  for (; column < columns.end; ++column) {
    score_columns<Keys, kRows, 1>(groups, column, queries, state.width, arguments.head_dim, state.scores);
  }
}

// Keys of q8_0: 32 elements of a query are rounded to integers q of 15 bits with a scale of their own, the
// product with the keys' bytes is exact in 32 bits, and one multiply-add brings each 32 to float32. The
// rounding of q is 2^-15 of the largest of its 32, a hundredth of what the keys' own rounding is.
inline constexpr float kLargestQueryQuant = 127.0F * 128.0F;
inline constexpr float kLeastQuery = 1e-30F;  // below, the scale's inverse would overflow
inline constexpr std::int64_t kQuadsPerScale = kKeyValueScaleElements / 4;

// Rows of state.queries as integers; what is padded is zero.
static void quantize_queries(const AttentionArguments& arguments, const AttentionState& state) {
  for (std::int64_t row = 0; row < state.rows; ++row) {
    const float* query = state.queries + row * state.width;
    for (std::int64_t b = 0; b < state.scale_blocks; ++b) {
      const std::int64_t begin = b * kKeyValueScaleElements;
      const std::int64_t end = lesser(begin + kKeyValueScaleElements, arguments.head_dim);
      float largest = 0;
      float not_finite = 0;  // NaN where an element is infinite or NaN, so that the scores show it
      for (std::int64_t d = begin; d < end; ++d) {
        const float magnitude = __builtin_fabsf(query[d]);
        largest = magnitude > largest ? magnitude : largest;
        not_finite += query[d] * 0.0F;
      }
      const bool usable = largest > kLeastQuery && not_finite == 0.0F;
      const float inverse = usable ? kLargestQueryQuant / largest : 0.0F;
      std::int32_t sum = 0;
      for (std::int64_t d = begin; d < end; d += 4) {
        std::int32_t quad[4];
        for (std::int64_t i = 0; i < 4; ++i) {
          quad[i] =
              usable && d + i < end ? static_cast<std::int32_t>(__builtin_rintf(query[d + i] * inverse)) : 0;
          sum += quad[i];
        }
        pack_query(quad, state.quants + (row * state.width / 4 + d / 4) * 2);
      }
      state.quant_scales[row * state.scale_blocks + b] = largest / kLargestQueryQuant + not_finite;
      state.quant_offsets[row * state.scale_blocks + b] = -128 * sum;
    }
  }
}

template <int kRows>
TESSERA_INLINE void score_quant_column(const AttentionArguments& arguments, const AttentionState& state,
                                       const TileGroups& groups, std::int64_t row, std::int64_t column) {
  const std::int64_t key = column * kLanes;
  const std::byte* scales = groups.keys[key / kKeyGroup] + key % kKeyGroup * 2;
  const std::byte* source =
      groups.keys[key / kKeyGroup] + scale_bytes(DType::q8_0, arguments.head_dim) + key % kKeyGroup * 4;
  const std::int64_t quads = divide_up(arguments.head_dim, 4);
  Float sums[kRows];
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) sums[r] = zero();
  for (std::int64_t b = 0; b < state.scale_blocks; ++b) {
    QuadSums products[kRows];
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) products[r] = no_quads();
    const std::int64_t end = lesser((b + 1) * kQuadsPerScale, quads);
    for (std::int64_t quad = b * kQuadsPerScale; quad < end; ++quad, source += kKeyGroup * 4) {
      const KeyQuads keys = load_quads(source);
      TESSERA_UNROLL
      for (int r = 0; r < kRows; ++r) {
        add_quads(products[r], keys, state.quants + ((row + r) * state.width / 4 + quad) * 2);
      }
    }
    const Float scale = load_f16(scales + b * kKeyGroup * 2);
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const std::int64_t own = (row + r) * state.scale_blocks + b;
      const Int exact = add_int(quad_total(products[r]), broadcast_int(state.quant_offsets[own]));
      const Float factor = multiply(scale, broadcast(state.quant_scales[own]));
      sums[r] = multiply_add(factor, to_float(exact), sums[r]);
    }
  }
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) store(state.scores + r * kKeyTile + key, sums[r]);
}

template <int kRows>
static void score_quant_rows(const AttentionArguments& arguments, const AttentionState& state,
                             const TileGroups& groups, std::int64_t row, KeyRange columns) {
  for (std::int64_t column = columns.begin; column < columns.end; ++column) {
    score_quant_column<kRows>(arguments, state, groups, row, column);
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
