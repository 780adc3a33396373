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

// Vectors of a row with one scale; without scales all share the weights.
template <typename Values>
inline constexpr int kScaleVectors = Values::kType == DType::q8_0 ? kKeyValueScaleElements / kLanes : 1 << 20;

// From the weights for one scale to those for the next.
inline constexpr std::int64_t kWeightStride = kMostRows * kKeyTile;

// Elements [d, d + kColumns kLanes) of kRows rows, keys [keys), which are whole packs.
template <typename Values, int kRows, int kColumns>
TESSERA_INLINE void mix_columns(const TileGroups& groups, KeyRange keys, std::int64_t d, std::int64_t scales,
                                const float* weights, float* mixtures, std::int64_t width,
                                std::int64_t fetch) {
  Float sums[kRows][kColumns];
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    TESSERA_UNROLL
    for (int c = 0; c < kColumns; ++c) sums[r][c] = load(mixtures + r * width + d + c * kLanes);
  }
  if constexpr (Values::kType == DType::q8_0) weights += d / kKeyValueScaleElements * kWeightStride;
  for (std::int64_t key = keys.begin; key < keys.end;) {
    const std::int64_t stop = lesser(keys.end, (key / kKeyGroup + 1) * kKeyGroup);
    if (fetch > 0) prefetch_group(groups.next.values[key / kKeyGroup], fetch);
    const std::byte* source = groups.now.values[key / kKeyGroup] + scales +
                              (key % kKeyGroup / Values::kPack * width + d) * Values::kBytes;
    for (; key < stop; key += Values::kPack, source += width * Values::kBytes) {
      Float values[kColumns][Values::kPack];
      TESSERA_UNROLL
      for (int c = 0; c < kColumns; ++c) Values::load(source + c * kLanes * Values::kBytes, values[c]);
      TESSERA_UNROLL
      for (int p = 0; p < Values::kPack; ++p) {
        TESSERA_UNROLL
        for (int r = 0; r < kRows; ++r) {
          Float weight = broadcast(weights[r * kKeyTile + key + p]);
          TESSERA_UNROLL
          for (int c = 0; c < kColumns; ++c) {
            if (c > 0 && c % kScaleVectors<Values> == 0) {
              weight = broadcast(weights[c / kScaleVectors<Values> * kWeightStride + r * kKeyTile + key + p]);
            }
            sums[r][c] = multiply_add(weight, values[c][p], sums[r][c]);
          }
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
static void mix_alone(const TileGroups& groups, KeyRange keys, std::int64_t scales, const float* weights,
                      float* mixture, std::int64_t width) {
  if (keys.empty()) return;
  for (std::int64_t d = 0; d < width; d += kLanes) {
    const float* own = weights;
    if constexpr (Values::kType == DType::q8_0) own += d / kKeyValueScaleElements * kWeightStride;
    Float sum = load(mixture + d);
    for (std::int64_t key = keys.begin; key < keys.end; ++key) {
      Float values[Values::kPack];
      Values::load(groups.now.values[key / kKeyGroup] + scales +
                       (key % kKeyGroup / Values::kPack * width + d) * Values::kBytes,
                   values);
      sum = multiply_add(broadcast(own[key]), values[key % Values::kPack], sum);
    }
    store(mixture + d, sum);
  }
}

// One row's weights times the scales of each 32 elements, for the keys in `keys`.
static void scale_weights(const AttentionState& state, const TileGroups& groups, KeyRange keys, int r) {
  for (std::int64_t b = 0; b < state.scale_blocks; ++b) {
    float* scaled = state.scaled_weights + b * kWeightStride + r * kKeyTile;
    for (std::int64_t key = keys.begin / kLanes * kLanes; key < keys.end; key += kLanes) {
      const Float scale =
          load_f16(groups.now.values[key / kKeyGroup] + (b * kKeyGroup + key % kKeyGroup) * 2);
      store(scaled + key, multiply(load(state.scores + r * kKeyTile + key), scale));
    }
  }
}

// state.tile_mixtures of kRows rows; row r sees keys ranges[r]. Keys that all of them see are loaded once for
// all; before and after those each row goes on alone, so that a value is never touched by a row that must not
// see it.
template <typename Values, int kRows>
static void mix_rows(const AttentionArguments& arguments, const AttentionState& state,
                     const TileGroups& groups, const KeyRange* ranges, std::int64_t row) {
  const std::int64_t fetch = row == 0 ? value_group_bytes(Values::kType, arguments.head_dim) : 0;
  constexpr int kWide = kWideColumns<Values, kRows>;
  const std::int64_t scales = scale_bytes(Values::kType, arguments.head_dim);
  const float* weights = state.scores;
  if constexpr (Values::kType == DType::q8_0) {
    for (int r = 0; r < kRows; ++r) scale_weights(state, groups, ranges[r], r);
    weights = state.scaled_weights;
  }
  KeyRange common = ranges[0];
  for (int r = 1; r < kRows; ++r) {
    common = {larger(common.begin, ranges[r].begin), lesser(common.end, ranges[r].end)};
  }
  common = {divide_up(common.begin, Values::kPack) * Values::kPack,
            common.end / Values::kPack * Values::kPack};
  const auto alone = [&](int r, KeyRange keys) {
    mix_alone<Values>(groups, keys, scales, weights + r * kKeyTile, state.tile_mixtures + r * state.width,
                      state.width);
  };
  if (common.empty()) {
    for (int r = 0; r < kRows; ++r) alone(r, ranges[r]);
    return;
  }
  for (int r = 0; r < kRows; ++r) alone(r, {ranges[r].begin, common.begin});
  std::int64_t d = 0;
  for (; d + kWide * kLanes <= state.width; d += kWide * kLanes) {
    mix_columns<Values, kRows, kWide>(groups, common, d, scales, weights, state.tile_mixtures, state.width,
                                      d == 0 ? fetch : 0);
  }
  for (; d < state.width; d += kLanes) {
    mix_columns<Values, kRows, 1>(groups, common, d, scales, weights, state.tile_mixtures, state.width,
                                  d == 0 ? fetch : 0);
  }
  for (int r = 0; r < kRows; ++r) alone(r, {common.end, ranges[r].end});
}

}  // namespace tessera::kernels::TESSERA_ISA
