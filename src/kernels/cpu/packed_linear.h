// y = x Wᵀ + b on packed weights and quantised inputs for one ISA; kernel_table.h says what is computed in
// which order, packed_layout.h where everything lies. Included after the ISA's integer header.
//
// A tile is kVectors x kLanes rows times kTokens tokens. Its integer sums live for one block, its float sums
// for the whole row of weights. The order of a tile's float operations does not depend on its shape, so a
// token gets the same bits alone and in company.
#pragma once
#include "kernels/cpu/packed_types.h"
#include "kernels/cpu/unroll.h"
#include "kernels/kernel_table.h"

namespace tessera::kernels::TESSERA_ISA {

TESSERA_INLINE constexpr std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

TESSERA_INLINE Float broadcast_float(const std::byte* p) {
  float value = 0;
  __builtin_memcpy(&value, p, sizeof(value));
  return broadcast(value);
}

// Where in its panel vector v of a tile begins: a tile of one vector at `lane`, a larger one at a panel's
// first row.
template <int kVectors>
TESSERA_INLINE constexpr std::int64_t lane_of(std::int64_t lane, int v) {
  return kVectors == 1 ? lane : v * kLanes % kPanelRows;
}

// Adds block `b` of 32 columns to sums[v][t].
template <typename Type, int kVectors, int kTokens>
TESSERA_INLINE void add_block(const std::byte* const (&blocks)[kVectors], std::int64_t lane,
                              const std::byte* input, std::int64_t input_stride, const InputLayout& layout,
                              std::int64_t columns, std::int64_t b, Float (&sums)[kVectors][kTokens]) {
  using Inputs = WordInputs;
  constexpr int kHalves = Type::kForm == InputForm::sums_of_16 ? 2 : 1;
  // A small tile has too few sums to hide the latency of adding to them, so it keeps several of each.
  // Integers may be added in any order.
  constexpr int kChains = kVectors * kTokens * kHalves >= 8 ? 1 : kVectors * kTokens * kHalves >= 4 ? 2 : 4;
  const std::int64_t part = b % (Type::kElements / kInputBlock);
  typename Inputs::Sum products[kVectors][kTokens][kHalves][kChains];
  TESSERA_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    TESSERA_UNROLL
    for (int h = 0; h < kHalves; ++h) {
      Int initial = broadcast_int(0);
      if constexpr (Type::kShift >= 0) {
        const std::byte* sum = input + t * input_stride + layout.sums + 4 * (kHalves * b + h);
        initial = shift_left(broadcast_word(sum), Type::kShift);
      }
      TESSERA_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        products[v][t][h][0] = Inputs::start(initial);
        TESSERA_UNROLL
        for (int c = 1; c < kChains; ++c) products[v][t][h][c] = Inputs::start(broadcast_int(0));
      }
    }
  }
  TESSERA_UNROLL
  for (int g = 0; g < 4; ++g) {
    Int low[kVectors];
    Int high[kVectors];
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      Type::pair(blocks[v], part, g, lane_of<kVectors>(lane, v), low[v], high[v]);
    }
    constexpr int kLast = kHalves - 1;
    const int first_chain = (kHalves == 2 ? g : 2 * g) % kChains;
    const int second_chain = (kHalves == 2 ? g : 2 * g + 1) % kChains;
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const std::byte* values = input + t * input_stride;
      const auto first = Inputs::load(values, 32 * b + 4 * g, columns);
      TESSERA_UNROLL
      for (int v = 0; v < kVectors; ++v) Inputs::add(products[v][t][0][first_chain], low[v], first);
      const auto second = Inputs::load(values, 32 * b + 16 + 4 * g, columns);
      TESSERA_UNROLL
      for (int v = 0; v < kVectors; ++v) Inputs::add(products[v][t][kLast][second_chain], high[v], second);
    }
  }
  TESSERA_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    TESSERA_UNROLL
    for (int h = 0; h < kHalves; ++h) {
      const Float scale = Type::scale(blocks[v], part, h, lane_of<kVectors>(lane, v));
      TESSERA_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        const Float both = multiply(scale, broadcast_float(input + t * input_stride + layout.scales + 4 * b));
        Int product = Inputs::finish(products[v][t][h][0]);
        TESSERA_UNROLL
        for (int c = 1; c < kChains; ++c) product = add_int(product, Inputs::finish(products[v][t][h][c]));
        sums[v][t] = multiply_add(to_float(product), both, sums[v][t]);
      }
      if constexpr (Type::kHasMinimum) {
        const Float minimum = Type::minimum(blocks[v], part, h, lane_of<kVectors>(lane, v));
        TESSERA_UNROLL
        for (int t = 0; t < kTokens; ++t) {
          const std::byte* scaled = input + t * input_stride + layout.scaled_sums + 4 * (kHalves * b + h);
          sums[v][t] = multiply_add(minimum, broadcast_float(scaled), sums[v][t]);
        }
      }
    }
  }
}

// kLanes outputs of one token, those of them that are asked for.
TESSERA_INLINE void store_outputs(const PackedLinearArguments& arguments, std::int64_t token,
                                  std::int64_t row, Float sums) {
  const std::int64_t column = row - arguments.first_row;
  float* output = arguments.output + token * arguments.output_stride;
  if (row >= arguments.row_begin && row + kLanes <= arguments.row_end) {
    if (arguments.bias != nullptr) sums = add(sums, load(arguments.bias + column));
    store(output + column, sums);
    return;
  }
  alignas(64) float values[kLanes];
  store(values, sums);
  for (std::int64_t i = 0; i < kLanes; ++i) {
    if (row + i < arguments.row_begin || row + i >= arguments.row_end) continue;
    output[column + i] = arguments.bias != nullptr ? values[i] + arguments.bias[column + i] : values[i];
  }
}

// The rows there is memory for: whole panels.
TESSERA_INLINE std::int64_t padded_rows(const PackedLinearArguments& arguments) {
  return (arguments.row_end + kPanelRows - 1) / kPanelRows * kPanelRows;
}

// kTokens tokens from `token` on, on kVectors x kLanes rows from `row` on (a multiple of kLanes).
template <typename Type, int kVectors, int kTokens>
void packed_tile(const PackedLinearArguments& arguments, std::int64_t row, std::int64_t token) {
  const std::int64_t columns = arguments.in_features;
  const InputLayout layout(Type::kForm, columns);
  const std::int64_t panel_bytes = columns / Type::kElements * Type::kPanelBytes;
  const std::int64_t lane = row % kPanelRows;
  const std::byte* blocks[kVectors];
  TESSERA_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    blocks[v] = arguments.weight + (row / kPanelRows + v * kLanes / kPanelRows) * panel_bytes;
  }
  const std::byte* input = arguments.input + token * arguments.input_stride;
  Float sums[kVectors][kTokens];
  TESSERA_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) sums[v][t] = zero();
  }
  for (std::int64_t b = 0; b < columns / kInputBlock; ++b) {
    add_block<Type>(blocks, lane, input, arguments.input_stride, layout, columns, b, sums);
    if ((b + 1) % (Type::kElements / kInputBlock) != 0) continue;
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) blocks[v] += Type::kPanelBytes;
  }
  TESSERA_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) store_outputs(arguments, token + t, row + v * kLanes, sums[v][t]);
  }
}

// Calls tile<kVectors, n> for n = `tokens` <= kMost.
template <typename Type, int kVectors, int kMost>
TESSERA_INLINE void packed_strip(const PackedLinearArguments& arguments, std::int64_t row, std::int64_t token,
                                 std::int64_t tokens) {
  if constexpr (kMost > 1) {
    if (tokens < kMost) return packed_strip<Type, kVectors, kMost - 1>(arguments, row, token, tokens);
  }
  packed_tile<Type, kVectors, kMost>(arguments, row, token);
}

// Tokens [begin, end) on kVectors x kLanes rows.
template <typename Type, int kVectors, int kMost>
TESSERA_INLINE void packed_strips(const PackedLinearArguments& arguments, std::int64_t row,
                                  std::int64_t begin, std::int64_t end) {
  for (std::int64_t token = begin; token < end; token += kMost) {
    packed_strip<Type, kVectors, kMost>(arguments, row, token, least(kMost, end - token));
  }
}

// Inputs of so many bytes are kept in the second-level cache while all rows pass by.
inline constexpr std::int64_t kInputBytes = 384 * 1024;

// All rows on tokens [begin, end): kVectors at a time where whole tiles of them are left, and otherwise one.
template <typename Type, int kVectors, int kMost>
TESSERA_INLINE void packed_rows(const PackedLinearArguments& arguments, std::int64_t begin,
                                std::int64_t end) {
  std::int64_t row = arguments.row_begin / kLanes * kLanes;
  if constexpr (kVectors > 1) {
    for (; row % kPanelRows != 0 && row < arguments.row_end; row += kLanes) {
      packed_strips<Type, 1, kMost>(arguments, row, begin, end);
    }
    for (; row + kVectors * kLanes <= padded_rows(arguments); row += kVectors * kLanes) {
      packed_strips<Type, kVectors, kMost>(arguments, row, begin, end);
    }
  }
  for (; row < arguments.row_end; row += kLanes) packed_strips<Type, 1, kMost>(arguments, row, begin, end);
}

// The same with each panel widened once for all tokens, where an ISA has Type::kWidenedFrom:
// widened_linear.h.
template <typename Type>
void widened_rows(const PackedLinearArguments& arguments, std::int64_t begin, std::int64_t end);

// Up to Type::kFewTokens tokens are one tile over a panel's rows (or a vector of them): the weights are read
// once, in the order they lie in, which is what memory is fastest at. More tokens go over Type::kTileVectors
// at a time, so that an input that was broadcast serves several rows.
template <typename Type>
void packed_linear(const PackedLinearArguments& arguments) {
  // The sums of a whole panel fit into the registers only where they have many lanes.
  constexpr int kPanelVectors = kLanes < 8 ? 1 : kPanelRows / kLanes;
  if (arguments.tokens <= Type::kFewTokens) {
    return packed_rows<Type, kPanelVectors, Type::kFewTokens>(arguments, 0, arguments.tokens);
  }
  const std::int64_t fitting = kInputBytes / arguments.input_stride / Type::kTileTokens * Type::kTileTokens;
  const std::int64_t step = fitting > 8 * Type::kTileTokens ? fitting : 8 * Type::kTileTokens;
  for (std::int64_t token = 0; token < arguments.tokens; token += step) {
    const std::int64_t end = least(arguments.tokens, token + step);
    if constexpr (requires { Type::kWidenedFrom; }) {
      if (end - token >= Type::kWidenedFrom) {
        widened_rows<Type>(arguments, token, end);
        continue;
      }
    }
    packed_rows<Type, Type::kTileVectors, Type::kTileTokens>(arguments, token, end);
  }
}

// One row of inputs; kernels/ref/packed_linear.cpp says how.
template <InputForm kForm>
void quantize_input(const float* x, std::byte* target, std::int64_t count) {
  constexpr std::int64_t kGroup = InputLayout::group(kForm);
  constexpr auto kLimit = static_cast<float>(kInputLimit);
  constexpr int kVectors = static_cast<int>(kInputBlock / kLanes);
  const InputLayout layout(kForm, count);
  for (std::int64_t block = 0; block < count / kInputBlock; ++block) {
    Float values[kVectors];
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) values[v] = load(x + block * kInputBlock + v * kLanes);
    const float largest = largest_magnitude(values);
    const bool vanishes = largest < kSmallestInput;
    const float scale = vanishes ? 0.0F : largest / kLimit;
    const Float inverse = broadcast(vanishes ? 0.0F : kLimit / largest);
    __builtin_memcpy(target + layout.scales + 4 * block, &scale, sizeof(scale));
    Int integers[kVectors];
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) integers[v] = round_to_int(multiply(values[v], inverse));
    store_integers(target, block * kInputBlock, count, integers);
    TESSERA_UNROLL
    for (std::int64_t first = 0; first < kInputBlock; first += kGroup) {
      Int group = integers[first / kLanes];
      TESSERA_UNROLL
      for (std::int64_t i = kLanes; i < kGroup; i += kLanes)
        group = add_int(group, integers[(first + i) / kLanes]);
      const std::int32_t sum = sum_ints(group);
      const std::int32_t negated = -sum;
      const float scaled_sum = scale * static_cast<float>(sum);
      const std::int64_t index = (block * kInputBlock + first) / kGroup;
      __builtin_memcpy(target + layout.sums + 4 * index, &negated, sizeof(negated));
      __builtin_memcpy(target + layout.scaled_sums + 4 * index, &scaled_sum, sizeof(scaled_sum));
    }
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
