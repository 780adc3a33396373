// y = x Wᵀ + b on packed weights and quantised inputs for many tokens, on an ISA that multiplies words: a
// panel's bytes are widened once for all tokens instead of once for each tile of them. The integers and the
// order of the float operations are those of kernels/cpu/packed_linear.h, and so are the bits. Included after
// the ISA's integer header.
#pragma once
#include "kernels/cpu/packed_linear.h"
#include "kernels/cpu/scratch.h"

namespace tessera::kernels::TESSERA_ISA {

inline constexpr int kWidenedVectors = static_cast<int>(kPanelRows / kLanes);

// What 32 columns of a panel become.
template <typename Type>
struct WidenedBlock {
  static constexpr int kHalves = Type::kForm == InputForm::sums_of_16 ? 2 : 1;
  // Registers hold 8 integer sums beside the weights and inputs; float sums stay in memory between blocks.
  static constexpr int kTokens = 4 / kHalves;
  WordInputs::Words words[8][kWidenedVectors];  // of columns 4 j ... 4 j + 3
  Float scales[kHalves][kWidenedVectors];
  Float minima[kHalves][kWidenedVectors];
};

template <typename Type>
TESSERA_INLINE void widen_panel(const std::byte* panel, std::int64_t blocks, WidenedBlock<Type>* target) {
  constexpr std::int64_t kParts = Type::kElements / kInputBlock;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::byte* block = panel + b / kParts * Type::kPanelBytes;
    const std::int64_t part = b % kParts;
    WidenedBlock<Type>& own = target[b];
    TESSERA_UNROLL
    for (int v = 0; v < kWidenedVectors; ++v) {
      TESSERA_UNROLL
      for (int g = 0; g < 4; ++g) {
        Int low;
        Int high;
        Type::pair(block, part, g, v * kLanes, low, high);
        own.words[g][v] = WordInputs::widen(low);
        own.words[g + 4][v] = WordInputs::widen(high);
      }
      TESSERA_UNROLL
      for (int h = 0; h < WidenedBlock<Type>::kHalves; ++h) {
        own.scales[h][v] = Type::scale(block, part, h, v * kLanes);
        if constexpr (Type::kHasMinimum) own.minima[h][v] = Type::minimum(block, part, h, v * kLanes);
      }
    }
  }
}

// Adds block `b` to sums[v][t], as add_block() does.
template <typename Type, int kTokens>
TESSERA_INLINE void add_widened_block(const WidenedBlock<Type>& block, const std::byte* input,
                                      std::int64_t stride, const InputLayout& layout, std::int64_t columns,
                                      std::int64_t b, Float (&sums)[kWidenedVectors][kTokens]) {
  constexpr int kHalves = WidenedBlock<Type>::kHalves;
  Int products[kHalves][kWidenedVectors][kTokens];
  TESSERA_UNROLL
  for (int h = 0; h < kHalves; ++h) {
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      Int initial = broadcast_int(0);
      if constexpr (Type::kShift >= 0) {
        initial = shift_left(broadcast_word(input + t * stride + layout.sums + 4 * (kHalves * b + h)),
                             Type::kShift);
      }
      TESSERA_UNROLL
      for (int v = 0; v < kWidenedVectors; ++v) products[h][v][t] = initial;
    }
  }
  TESSERA_UNROLL
  for (int j = 0; j < 8; ++j) {
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const auto four = WordInputs::load(input + t * stride, 32 * b + 4 * j, columns);
      TESSERA_UNROLL
      for (int v = 0; v < kWidenedVectors; ++v) {
        WordInputs::add_widened(products[j / 4 * (kHalves - 1)][v][t], block.words[j][v], four);
      }
    }
  }
  TESSERA_UNROLL
  for (int v = 0; v < kWidenedVectors; ++v) {
    TESSERA_UNROLL
    for (int h = 0; h < kHalves; ++h) {
      TESSERA_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        const std::byte* row = input + t * stride;
        const Float both = multiply(block.scales[h][v], broadcast_float(row + layout.scales + 4 * b));
        sums[v][t] = multiply_add(to_float(products[h][v][t]), both, sums[v][t]);
        if constexpr (Type::kHasMinimum) {
          const Float scaled = broadcast_float(row + layout.scaled_sums + 4 * (kHalves * b + h));
          sums[v][t] = multiply_add(block.minima[h][v], scaled, sums[v][t]);
        }
      }
    }
  }
}

// kTokens tokens from `token` on, on the panel whose first row is `row`.
template <typename Type, int kTokens>
void widened_tile(const PackedLinearArguments& arguments, const WidenedBlock<Type>* blocks, std::int64_t row,
                  std::int64_t token) {
  const InputLayout layout(Type::kForm, arguments.in_features);
  const std::byte* input = arguments.input + token * arguments.input_stride;
  Float sums[kWidenedVectors][kTokens];
  TESSERA_UNROLL
  for (int v = 0; v < kWidenedVectors; ++v) {
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) sums[v][t] = zero();
  }
  for (std::int64_t b = 0; b < arguments.in_features / kInputBlock; ++b) {
    add_widened_block(blocks[b], input, arguments.input_stride, layout, arguments.in_features, b, sums);
  }
  TESSERA_UNROLL
  for (int v = 0; v < kWidenedVectors; ++v) {
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) store_outputs(arguments, token + t, row + v * kLanes, sums[v][t]);
  }
}

// Tokens [begin, end) on all rows.
template <typename Type>
void widened_rows(const PackedLinearArguments& arguments, std::int64_t begin, std::int64_t end) {
  using Block = WidenedBlock<Type>;
  const std::int64_t blocks = arguments.in_features / kInputBlock;
  const std::int64_t panel_bytes = arguments.in_features / Type::kElements * Type::kPanelBytes;
  auto* widened = reinterpret_cast<Block*>(
      thread_scratch(blocks * static_cast<std::int64_t>(sizeof(Block) / sizeof(float))));
  std::int64_t row = arguments.row_begin / kPanelRows * kPanelRows;
  for (; row < arguments.row_end; row += kPanelRows) {
    widen_panel(arguments.weight + row / kPanelRows * panel_bytes, blocks, widened);
    std::int64_t token = begin;
    for (; token + Block::kTokens <= end; token += Block::kTokens) {
      widened_tile<Type, Block::kTokens>(arguments, widened, row, token);
    }
    for (; token < end; ++token) {
      widened_tile<Type, 1>(arguments, widened, row, token);
    }
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
