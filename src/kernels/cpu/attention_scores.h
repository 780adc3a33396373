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

// Vectors that kRows rows share at a time: 4 where their sums leave registers for them. Sixteen registers
// hold 3 x 4 sums only when the vectors need none, because float32 is used from memory.
template <typename Type, int kRows>
inline constexpr int kWideColumns =
    4 * kRows < 2 * kMostRows || (4 * kRows == 2 * kMostRows && (kLanes != 8 || Type::kType == DType::f32))
        ? 4
        : 2;

// kColumns vectors of keys from `column` on.
template <typename Keys, int kRows, int kColumns>
TESSERA_INLINE void score_columns(const TileGroups& groups, std::int64_t column, const float* queries,
                                  std::int64_t head_dim, float* scores) {
  Float sums[kRows][kColumns];
  const std::byte* source[kColumns];
  TESSERA_UNROLL
  for (int c = 0; c < kColumns; ++c) {
    const std::int64_t key = (column + c) * kLanes;
    source[c] = groups.now.keys[key / kKeyGroup] + key % kKeyGroup * Keys::kBytes;
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
        const Float query = broadcast(queries[(d + p) * kRows + r]);
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

// The keys of the next tile at these columns.
TESSERA_INLINE void prefetch_keys(const AttentionArguments& arguments, const TileGroups& groups,
                                  std::int64_t column, std::int64_t count) {
  const std::int64_t bytes = key_group_bytes(arguments.key_dtype, arguments.head_dim);
  for (std::int64_t c = column; c < column + count; ++c) {
    if (c * kLanes % kKeyGroup == 0) prefetch_group(groups.next.keys[c * kLanes / kKeyGroup], bytes);
  }
}

// Columns [columns) of kRows rows from `row` on.
template <typename Keys, int kRows>
static void score_rows(const AttentionArguments& arguments, const AttentionState& state,
                       const TileGroups& groups, std::int64_t row, KeyRange columns) {
  constexpr int kWide = kWideColumns<Keys, kRows>;
  const float* queries = state.queries + row * state.width;
  std::int64_t column = columns.begin;
  const bool first = row == 0;
  for (; column + kWide <= columns.end; column += kWide) {
    if (first) prefetch_keys(arguments, groups, column, kWide);
    score_columns<Keys, kRows, kWide>(groups, column, queries, arguments.head_dim, state.scores);
  }
  for (; column < columns.end; ++column) {
    if (first) prefetch_keys(arguments, groups, column, 1);
    score_columns<Keys, kRows, 1>(groups, column, queries, arguments.head_dim, state.scores);
  }
}

// Keys of q8_0: 32 elements of a query are rounded to integers q of 15 bits with a scale of their own, the
// product with the keys' bytes is exact in 32 bits, and one multiply-add brings each 32 to float32. The
// rounding of q is 2^-15 of the largest of its 32, a hundredth of what the keys' own rounding is.
inline constexpr float kLargestQueryQuant = 127.0F * 128.0F;
inline constexpr float kLeastQuery = 1e-30F;  // below, the scale's inverse would overflow
inline constexpr std::int64_t kQuadsPerScale = kKeyValueScaleElements / 4;

// A row block of queries, [rows, width] at `queries`, as integers; what is padded is zero.
static void quantize_queries(const AttentionState& state, const float* queries, std::int64_t row, int rows) {
  alignas(64) std::int32_t words[2 * kQuadsPerScale];
  std::int32_t* quants = state.quants + row * state.width / 2;
  for (std::int64_t b = 0; b < state.scale_blocks * rows; ++b) {
    const std::int64_t r = b % rows;
    const float* query = queries + r * state.width;
    const std::int64_t begin = b / rows * kKeyValueScaleElements;
    const std::int64_t end = lesser(begin + kKeyValueScaleElements, state.width);
    Float top = zero();
    Float not_finite = zero();  // NaN where an element is infinite or NaN, so that the scores show it
    for (std::int64_t d = begin; d < end; d += kLanes) {
      const Float q = load(query + d);
      top = maximum(top, absolute(q));
      not_finite = multiply_add(q, zero(), not_finite);
    }
    const float largest = maximum_lane(top);
    const float trouble = sum_lanes(not_finite);
    const bool usable = largest > kLeastQuery && trouble == 0.0F;
    const Float inverse = broadcast(usable ? kLargestQueryQuant / largest : 0.0F);
    Float sum = zero();
    for (std::int64_t d = begin; d < end; d += kLanes) {
      const Float rounded = usable ? round_to_even(multiply(load(query + d), inverse)) : zero();
      sum = add(sum, rounded);  // of integers below 2^24: exact
      pack_query(to_int(rounded), words + (d - begin) / 4, kQuadsPerScale);
    }
    for (std::int64_t quad = begin / 4; quad < end / 4; ++quad) {
      quants[2 * quad * rows + r] = words[quad - begin / 4];
      quants[(2 * quad + 1) * rows + r] = words[quad - begin / 4 + kQuadsPerScale];
    }
    state.quant_scales[row * state.scale_blocks + b] = largest / kLargestQueryQuant + trouble;
    state.quant_offsets[row * state.scale_blocks + b] = -128 * static_cast<std::int32_t>(sum_lanes(sum));
  }
}

// Adds one phase of the products of quads [begin, end): see add_quads.
template <int kPhase, int kRows, int kColumns>
TESSERA_INLINE void add_quad_products(Int (&products)[kRows][kColumns], const std::byte* const* source,
                                      const std::int32_t* quants, std::int64_t begin, std::int64_t end) {
  for (std::int64_t quad = begin; quad < end; ++quad) {
    const std::int32_t* words = quants + quad * 2 * kRows;
    KeyQuads keys[kColumns];
    TESSERA_UNROLL
    for (int c = 0; c < kColumns; ++c) keys[c] = load_quads(source[c] + quad * kKeyGroup * 4);
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) {
      TESSERA_UNROLL
      for (int c = 0; c < kColumns; ++c) {
        products[r][c] = add_quads<kPhase>(products[r][c], keys[c], words[r], words[kRows + r]);
      }
    }
  }
}

// kColumns vectors of keys from `column` on.
template <int kRows, int kColumns>
TESSERA_INLINE void score_quant_columns(const AttentionArguments& arguments, const AttentionState& state,
                                        const TileGroups& groups, std::int64_t row, std::int64_t column) {
  const std::int64_t quads = divide_up(arguments.head_dim, 4);
  const std::int32_t* quants = state.quants + row * state.width / 2;
  const std::byte* scales[kColumns];
  const std::byte* source[kColumns];
  Float sums[kRows][kColumns];
  TESSERA_UNROLL
  for (int c = 0; c < kColumns; ++c) {
    const std::int64_t key = (column + c) * kLanes;
    const std::byte* group = groups.now.keys[key / kKeyGroup];
    scales[c] = group + key % kKeyGroup * 2;
    source[c] = group + scale_bytes(DType::q8_0, arguments.head_dim) + key % kKeyGroup * 4;
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) sums[r][c] = zero();
  }
  for (std::int64_t b = 0; b < state.scale_blocks; ++b) {
    Int products[kRows][kColumns];
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) {
      TESSERA_UNROLL
      for (int c = 0; c < kColumns; ++c) products[r][c] = broadcast_int(0);
    }
    const std::int64_t end = lesser((b + 1) * kQuadsPerScale, quads);
    add_quad_products<0>(products, source, quants, b * kQuadsPerScale, end);
    if constexpr (kQuadPhases == 2) {
      TESSERA_UNROLL
      for (int r = 0; r < kRows; ++r) {
        TESSERA_UNROLL
        for (int c = 0; c < kColumns; ++c) products[r][c] = next_phase(products[r][c]);
      }
      add_quad_products<1>(products, source, quants, b * kQuadsPerScale, end);
    }
    TESSERA_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      const Float scale = load_f16(scales[c] + b * kKeyGroup * 2);
      TESSERA_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const std::int64_t own = row * state.scale_blocks + b * kRows + r;
        const Int exact = add_int(products[r][c], broadcast_int(state.quant_offsets[own]));
        const Float factor = multiply(scale, broadcast(state.quant_scales[own]));
        sums[r][c] = multiply_add(factor, to_float(exact), sums[r][c]);
      }
    }
  }
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    TESSERA_UNROLL
    for (int c = 0; c < kColumns; ++c) store(state.scores + r * kKeyTile + (column + c) * kLanes, sums[r][c]);
  }
}

template <int kRows>
static void score_quant_rows(const AttentionArguments& arguments, const AttentionState& state,
                             const TileGroups& groups, std::int64_t row, KeyRange columns) {
  constexpr int kWide = 4 * kRows <= kMostRows ? 4 : 2 * kRows <= kMostRows ? 2 : 1;  // two sums each
  std::int64_t column = columns.begin;
  const bool first = row == 0;
  for (; column + kWide <= columns.end; column += kWide) {
    if (first) prefetch_keys(arguments, groups, column, kWide);
    score_quant_columns<kRows, kWide>(arguments, state, groups, row, column);
  }
  for (; column < columns.end; ++column) {
    if (first) prefetch_keys(arguments, groups, column, 1);
    score_quant_columns<kRows, 1>(arguments, state, groups, row, column);
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
