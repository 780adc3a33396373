// y = x Wᵀ + b on packed f16 and bf16 weights in products of 16-bit integers, of which an instruction does
// twice as many as of float32; kernels/packed_layout.h says what is rounded and how far. Weights become words
// as they are read: once for all tokens where there are many, in a block at a time where there are few. The
// integers and the order of the float operations are the same, and so are the bits. Included after the ISA's
// integer header.
#pragma once
#include "kernels/cpu/decode.h"
#include "kernels/cpu/packed_linear.h"
#include "kernels/cpu/scratch.h"

namespace tessera::kernels::TESSERA_ISA {

inline constexpr int kWordVectors = static_cast<int>(kPanelRows / kLanes);

// 32 columns of a panel.
struct WordBlock {
  Int words[kInputBlock / 2][kWordVectors];  // of two columns each
  Float scales[kWordVectors];
};

// 2^e and 2^-e of each row by its sum of squares. What is not finite makes the scale a NaN.
TESSERA_INLINE void word_scales(Float squares, Float& scale, Float& inverse) {
  const Int half = shift_right(add_int(shift_right(bits_of(squares), 23), broadcast_int(1)), 1);
  const Int exponent = shift_left(half, 23);
  scale = float_from_bits(add_int(exponent, broadcast_int(49 << 23)));
  scale = multiply_add(squares, zero(), scale);
  inverse = float_from_bits(subtract_int(broadcast_int(205 << 23), exponent));
}

template <typename Plain>
TESSERA_INLINE void to_words(const std::byte* block, WordBlock& target) {
  constexpr float kMagic = 0x1.8p23F;  // a float32 this large has its integer in the low bits
  TESSERA_UNROLL
  for (int v = 0; v < kWordVectors; ++v) {
    const std::byte* weights = block + v * kLanes * Plain::kBytes;
    const auto column = [&](std::int64_t k) TESSERA_LAMBDA {
      return Plain::decode(weights + k * kPanelRows * Plain::kBytes);
    };
    Float squares[4] = {zero(), zero(), zero(), zero()};
    TESSERA_UNROLL
    for (int k = 0; k < kInputBlock; k += 4) {
      TESSERA_UNROLL
      for (int i = 0; i < 4; ++i) {
        const Float w = column(k + i);
        squares[i] = multiply_add(w, w, squares[i]);
      }
    }
    Float inverse;
    word_scales(add(add(squares[0], squares[1]), add(squares[2], squares[3])), target.scales[v], inverse);
    TESSERA_UNROLL
    for (int j = 0; j < kInputBlock / 2; ++j) {
      const Float even = multiply_add(column(2 * j), inverse, broadcast(kMagic));
      const Float odd = multiply_add(column(2 * j + 1), inverse, broadcast(kMagic));
      target.words[j][v] = pair_words(bits_of(even), bits_of(odd));
    }
  }
}

// Adds block `b` of kPanels panels to the sums of kTokens tokens.
template <int kPanels, int kTokens>
TESSERA_INLINE void add_word_block(const WordBlock* const (&blocks)[kPanels], const std::byte* input,
                                   std::int64_t stride, const InputLayout& layout, std::int64_t b,
                                   Float (&sums)[kPanels * kWordVectors][kTokens]) {
  constexpr int kVectors = kPanels * kWordVectors;
  // A small tile keeps several sums of each output, to hide the latency of adding to them.
  constexpr int kChains = kVectors * kTokens >= 8 ? 1 : kVectors * kTokens >= 4 ? 2 : 4;
  Int products[kVectors][kTokens][kChains];
  TESSERA_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      TESSERA_UNROLL
      for (int c = 0; c < kChains; ++c) products[v][t][c] = broadcast_int(0);
    }
  }
  const std::byte* words = input + 2 * kInputBlock * b;
  TESSERA_UNROLL
  for (int j = 0; j < kInputBlock / 2; ++j) {
    Int weights[kVectors];
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) weights[v] = blocks[v / kWordVectors]->words[j][v % kWordVectors];
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const Int pair = broadcast_word(words + t * stride + 4 * j);
      TESSERA_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        products[v][t][j % kChains] = add_word_products(products[v][t][j % kChains], weights[v], pair);
      }
    }
  }
  TESSERA_UNROLL
  for (int t = 0; t < kTokens; ++t) {
    const Float scale = broadcast_float(input + t * stride + layout.scales + 4 * b);
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      Int product = products[v][t][0];
      TESSERA_UNROLL
      for (int c = 1; c < kChains; ++c) product = add_int(product, products[v][t][c]);
      const Float both = multiply(blocks[v / kWordVectors]->scales[v % kWordVectors], scale);
      sums[v][t] = multiply_add(to_float(product), both, sums[v][t]);
    }
  }
}

// kTokens tokens from `token` on, on kPanels panels from `row` on. `widened` holds the panels' blocks one
// after the other, or is null, and then they are made here.
template <typename Plain, int kPanels, int kTokens>
void word_tile(const PackedLinearArguments& arguments, const WordBlock* widened, std::int64_t row,
               std::int64_t token) {
  constexpr int kVectors = kPanels * kWordVectors;
  constexpr std::int64_t kBlockBytes = kInputBlock * kPanelRows * Plain::kBytes;
  const std::int64_t count = arguments.in_features / kInputBlock;
  const InputLayout layout(InputForm::words, arguments.in_features);
  const std::byte* input = arguments.input + token * arguments.input_stride;
  const std::byte* packed = arguments.weight + row / kPanelRows * count * kBlockBytes;
  Float sums[kVectors][kTokens];
  TESSERA_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) sums[v][t] = zero();
  }
  WordBlock own[kPanels];
  for (std::int64_t b = 0; b < count; ++b) {
    const WordBlock* blocks[kPanels];
    TESSERA_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      blocks[p] = widened != nullptr ? widened + p * count + b : &own[p];
      if (widened == nullptr) to_words<Plain>(packed + (p * count + b) * kBlockBytes, own[p]);
    }
    add_word_block<kPanels, kTokens>(blocks, input, arguments.input_stride, layout, b, sums);
  }
  TESSERA_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) store_outputs(arguments, token + t, row + v * kLanes, sums[v][t]);
  }
}

// Calls the tile of `tokens` <= kMost tokens.
template <typename Plain, int kPanels, int kMost>
TESSERA_INLINE void word_strip(const PackedLinearArguments& arguments, const WordBlock* widened,
                               std::int64_t row, std::int64_t token, std::int64_t tokens) {
  if constexpr (kMost > 1) {
    if (tokens < kMost) return word_strip<Plain, kPanels, kMost - 1>(arguments, widened, row, token, tokens);
  }
  word_tile<Plain, kPanels, kMost>(arguments, widened, row, token);
}

// All tokens on kPanels panels from `row` on, which are widened to `memory` first.
template <typename Plain, int kPanels>
TESSERA_INLINE void word_panels(const PackedLinearArguments& arguments, WordBlock* memory, std::int64_t row) {
  constexpr std::int64_t kBlockBytes = kInputBlock * kPanelRows * Plain::kBytes;
  const std::int64_t count = arguments.in_features / kInputBlock;
  const std::byte* packed = arguments.weight + row / kPanelRows * count * kBlockBytes;
  for (std::int64_t i = 0; i < kPanels * count; ++i) to_words<Plain>(packed + i * kBlockBytes, memory[i]);
  for (std::int64_t token = 0; token < arguments.tokens; token += kWordTokens) {
    word_strip<Plain, kPanels, kWordTokens>(arguments, memory, row, token,
                                            least(kWordTokens, arguments.tokens - token));
  }
}

template <typename Plain>
void word_linear(const PackedLinearArguments& arguments) {
  std::int64_t row = arguments.row_begin / kPanelRows * kPanelRows;
  if (arguments.tokens <= kWordTokens) {
    for (; row < arguments.row_end; row += kPanelRows) {
      word_strip<Plain, 1, kWordTokens>(arguments, nullptr, row, 0, arguments.tokens);
    }
    return;
  }
  const std::int64_t blocks = kWordPanels * (arguments.in_features / kInputBlock);
  auto* memory = reinterpret_cast<WordBlock*>(
      thread_scratch(blocks * static_cast<std::int64_t>(sizeof(WordBlock) / sizeof(float))));
  for (; row + kWordPanels * kPanelRows <= padded_rows(arguments); row += kWordPanels * kPanelRows) {
    word_panels<Plain, kWordPanels>(arguments, memory, row);
  }
  for (; row < arguments.row_end; row += kPanelRows) word_panels<Plain, 1>(arguments, memory, row);
}

// One row of inputs; kernels/ref/packed_words.cpp says how.
static void quantize_words(const float* x, std::byte* target, std::int64_t count) {
  constexpr int kVectors = static_cast<int>(kInputBlock / kLanes);
  const InputLayout layout(InputForm::words, count);
  for (std::int64_t block = 0; block < count / kInputBlock; ++block) {
    Float values[kVectors];
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) values[v] = load(x + block * kInputBlock + v * kLanes);
    const float largest = largest_magnitude(values);
    const bool vanishes = largest < kSmallestInput;
    const Float reciprocal = broadcast(vanishes ? 0.0F : 1.0F / largest);
    Float squares[kVectors / 2];
    TESSERA_UNROLL
    for (int v = 0; v < kVectors / 2; ++v) {
      const Float low = multiply(values[v], reciprocal);
      const Float high = multiply(values[v + kVectors / 2], reciprocal);
      squares[v] = multiply_add(high, high, multiply(low, low));
    }
    Float all = squares[0];
    TESSERA_UNROLL
    for (int v = 1; v < kVectors / 2; ++v) all = add(all, squares[v]);
    const float norm = __builtin_sqrtf(sum_lanes(all)) * (1.0F / kWordNormLimit);
    const float step = norm > 1.0F / kWordLimit ? norm : 1.0F / kWordLimit;
    const float scale = vanishes ? 0.0F : largest * step;
    const Float inverse = broadcast(vanishes ? 0.0F : 1.0F / scale);
    __builtin_memcpy(target + layout.scales + 4 * block, &scale, sizeof(scale));
    Int integers[kVectors];
    TESSERA_UNROLL
    for (int v = 0; v < kVectors; ++v) integers[v] = round_to_int(multiply(values[v], inverse));
    store_words(target + 2 * kInputBlock * block, integers);
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
