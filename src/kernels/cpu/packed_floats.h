// y = x Wᵀ + b on packed f32, f16 and bf16 weights for one ISA: chains of fused multiply-adds over ascending
// k, one for each output, whatever the shape of the tile, so that a token gets the same bits alone and in
// company.
#pragma once
#include "kernels/cpu/decode.h"
#include "kernels/cpu/packed_linear.h"

namespace tessera::kernels::TESSERA_ISA {

// kTokens tokens from `token` on, on kVectors x kLanes rows from `row` on (a multiple of kLanes).
template <typename Plain, int kVectors, int kTokens>
void float_tile(const PackedLinearArguments& arguments, std::int64_t row, std::int64_t token) {
  constexpr std::int64_t kStep = kPanelRows * Plain::kBytes;  // from one column to the next
  const std::int64_t columns = arguments.in_features;
  const std::byte* weights[kVectors];
  Float sums[kVectors][kTokens];
  TESSERA_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const std::int64_t first = row + v * kLanes;
    weights[v] = arguments.weight + first / kPanelRows * columns * kStep + first % kPanelRows * Plain::kBytes;
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) sums[v][t] = zero();
  }
  const std::byte* input = arguments.input + token * arguments.input_stride;
  for (std::int64_t k = 0; k < columns; ++k) {
    Float w[kVectors];
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) w[v] = Plain::decode(weights[v] + k * kStep);
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const Float x = broadcast_float(input + t * arguments.input_stride + 4 * k);
      TESSERA_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[v][t] = multiply_add(w[v], x, sums[v][t]);
    }
  }
  TESSERA_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) store_outputs(arguments, token + t, row + v * kLanes, sums[v][t]);
  }
}

// Calls the tile of `tokens` <= kMost tokens.
template <typename Plain, int kVectors, int kMost>
TESSERA_INLINE void float_strip(const PackedLinearArguments& arguments, std::int64_t row, std::int64_t token,
                                std::int64_t tokens) {
  if constexpr (kMost > 1) {
    if (tokens < kMost) return float_strip<Plain, kVectors, kMost - 1>(arguments, row, token, tokens);
  }
  float_tile<Plain, kVectors, kMost>(arguments, row, token);
}

// All rows, kVectors at a time and the rest one at a time, on tokens [begin, end).
template <typename Plain, int kVectors, int kMost>
TESSERA_INLINE void float_rows(const PackedLinearArguments& arguments, std::int64_t begin, std::int64_t end) {
  std::int64_t row = arguments.row_begin / kLanes * kLanes;
  for (; row + kVectors * kLanes <= padded_rows(arguments); row += kVectors * kLanes) {
    for (std::int64_t token = begin; token < end; token += kMost) {
      float_strip<Plain, kVectors, kMost>(arguments, row, token, least(kMost, end - token));
    }
  }
  for (; row < arguments.row_end; row += kLanes) {
    for (std::int64_t token = begin; token < end; token += kMost) {
      float_strip<Plain, 1, kMost>(arguments, row, token, least(kMost, end - token));
    }
  }
}

// One token alone takes kSingleVectors at a time, enough chains to hide their latency; several take the tile
// that fills the registers, on as many tokens at a time as the second-level cache holds.
template <typename Plain>
void packed_floats(const PackedLinearArguments& arguments) {
  if (arguments.tokens == 1) return float_rows<Plain, kSingleVectors, 1>(arguments, 0, 1);
  const std::int64_t fitting = kInputBytes / arguments.input_stride / kFloatTokens * kFloatTokens;
  const std::int64_t step = fitting > 8 * kFloatTokens ? fitting : 8 * kFloatTokens;
  for (std::int64_t token = 0; token < arguments.tokens; token += step) {
    float_rows<Plain, kFloatVectors, kFloatTokens>(arguments, token, least(arguments.tokens, token + step));
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
