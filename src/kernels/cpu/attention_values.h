// mixture[row] = sum over keys of weight * value for the rows of a tile. Included by the translation units of
// one ISA after its vector header.
//
// A mixture's element is one fused multiply-add after another in ascending key, in one lane: the same bits
// however many rows share a loaded value.
#pragma once
#include "kernels/cpu/attention_scores.h"

namespace tessera::kernels::TESSERA_ISA {

struct CacheQ8_0 {
  static constexpr DType kType = DType::q8_0;
  static constexpr int kPack = 1;
  static constexpr std::int64_t kBytes = 1;
  TESSERA_INLINE static void load(const std::byte* p, Float (&v)[kPack]) {
    v[0] = to_float(load_signed_bytes(p));
  }
};

// Elements of a row that share their weights: all, or those with one scale.
template <typename Values>
inline constexpr std::int64_t kWeightElements =
    Values::kType == DType::q8_0 ? kKeyValueScaleElements : 1 << 30;

// Elements [d, d + kColumns kLanes) of kRows rows, keys [keys), which are whole packs.
template <typename Values, int kRows, int kColumns>
TESSERA_INLINE void mix_columns(const TileGroups& groups, KeyRange keys, std::int64_t d, std::int64_t scales,
                                const float* weights, float* mixtures, std::int64_t width) {
  Float sums[kRows][kColumns];
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    TESSERA_UNROLL
    for (int c = 0; c < kColumns; ++c) sums[r][c] = load(mixtures + r * width + d + c * kLanes);
  }
  for (std::int64_t key = keys.begin; key < keys.end;) {
    const std::int64_t stop = lesser(keys.end, (key / kKeyGroup + 1) * kKeyGroup);
    const std::byte* source = groups.values[key / kKeyGroup] + scales +
                              (key % kKeyGroup / Values::kPack * width + d) * Values::kBytes;
    for (; key < stop; key += Values::kPack, source += width * Values::kBytes) {
      Float values[kColumns][Values::kPack];
      TESSERA_UNROLL
      for (int c = 0; c < kColumns; ++c) Values::load(source + c * kLanes * Values::kBytes, values[c]);
      TESSERA_UNROLL
      for (int p = 0; p < Values::kPack; ++p) {
        TESSERA_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const Float weight = broadcast(weights[r * kKeyTile + key + p]);
          TESSERA_UNROLL
          for (int c = 0; c < kColumns; ++c) sums[r][c] = multiply_add(weight, values[c][p], sums[r][c]);
        }
      }
    }
  }
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    TESSERA_UNROLL
    for (int c = 0; c < kColumns; ++c) store(mixtures + r * width + d + c * kLanes, sums[r][c]);
  }
}

// The same for one row and any keys: those that not all rows of a block see.
template <typename Values>
static void mix_alone(const TileGroups& groups, KeyRange keys, KeyRange elements, std::int64_t scales,
                      const float* weights, float* mixture, std::int64_t width) {
  for (std::int64_t d = elements.begin; d < elements.end; d += kLanes) {
    Float sum = load(mixture + d);
    for (std::int64_t key = keys.begin; key < keys.end; ++key) {
      Float values[Values::kPack];
      Values::load(groups.values[key / kKeyGroup] + scales +
                       (key % kKeyGroup / Values::kPack * width + d) * Values::kBytes,
                   values);
      sum = multiply_add(broadcast(weights[key]), values[key % Values::kPack], sum);
    }
    store(mixture + d, sum);
  }
}

// weights * the scales of elements from `d` on, for the keys in `keys`.
TESSERA_INLINE void scale_weights(const TileGroups& groups, KeyRange keys, std::int64_t d,
                                  const float* weights, float* scaled) {
  for (std::int64_t key = keys.begin / kLanes * kLanes; key < keys.end; key += kLanes) {
    const Float scale = load_f16(groups.values[key / kKeyGroup] +
                                 (d / kKeyValueScaleElements * kKeyGroup + key % kKeyGroup) * 2);
    store(scaled + key, multiply(load(weights + key), scale));
  }
}

// state.tile_mixtures of kRows rows; row r sees keys ranges[r]. Keys that all of them see are loaded once for
// all; before and after those each row goes on alone, so that a value is never touched by a row that must not
// see it.
template <typename Values, int kRows>
static void mix_rows(const AttentionArguments& arguments, const AttentionState& state,
                     const TileGroups& groups, const KeyRange* ranges) {
  constexpr int kWide = 4 * kRows <= 2 * kMostRows ? 4 : 2;
  constexpr bool kScaled = Values::kType == DType::q8_0;
  const std::int64_t scales = scale_bytes(Values::kType, arguments.head_dim);
  KeyRange common = ranges[0];
  for (int r = 1; r < kRows; ++r) {
    common = {larger(common.begin, ranges[r].begin), lesser(common.end, ranges[r].end)};
  }
  common = {divide_up(common.begin, Values::kPack) * Values::kPack,
            common.end / Values::kPack * Values::kPack};
  for (std::int64_t d = 0; d < state.width; d += kWeightElements<Values>) {
    const KeyRange elements{d, lesser(d + kWeightElements<Values>, state.width)};
    const float* weights = state.scores;
    if constexpr (kScaled) {
      for (int r = 0; r < kRows; ++r) {
        scale_weights(groups, ranges[r], d, state.scores + r * kKeyTile, state.scaled_weights + r * kKeyTile);
      }
      weights = state.scaled_weights;
    }
    const auto alone = [&](int r, KeyRange keys) {
      mix_alone<Values>(groups, keys, elements, scales, weights + r * kKeyTile,
                        state.tile_mixtures + r * state.width, state.width);
    };
    if (common.empty()) {
      for (int r = 0; r < kRows; ++r) alone(r, ranges[r]);
      continue;
    }
    for (int r = 0; r < kRows; ++r) alone(r, {ranges[r].begin, common.begin});
    std::int64_t first = elements.begin;
    for (; first + kWide * kLanes <= elements.end; first += kWide * kLanes) {
      mix_columns<Values, kRows, kWide>(groups, common, first, scales, weights, state.tile_mixtures,
                                        state.width);
    }
    for (; first < elements.end; first += kLanes) {
      mix_columns<Values, kRows, 1>(groups, common, first, scales, weights, state.tile_mixtures, state.width);
    }
    for (int r = 0; r < kRows; ++r) alone(r, {common.end, ranges[r].end});
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
