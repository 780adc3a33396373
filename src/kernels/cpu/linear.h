// y = x Wᵀ + b for one ISA. Included by its translation units after the vector header.
//
// One output is defined as sum_lanes(a) + bias, where lane l of a is the sum, in ascending j, of
// fma(w[j kLanes + l], x[j kLanes + l]). Both kernels below keep that order, so a token's output is the same
// bits alone (weights widened in registers and used once: bound by memory) and among others (a panel of
// weight rows is widened to scratch once and used by every token: bound by multiply-adds).
#pragma once
#include "kernels/cpu/decode.h"
#include "kernels/cpu/scratch.h"
#include "kernels/kernel_table.h"

namespace tessera::kernels::TESSERA_ISA {

// Weight rows widened together. 16 rows of 576 floats take 36 KiB and stay in L2 for any sensible width.
inline constexpr std::int64_t kWidenedRows = 16;

TESSERA_INLINE constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
TESSERA_INLINE std::int64_t padded(std::int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

// Vector j of a plain row whose last vector may be partial: the missing weights are zero.
template <typename Plain>
TESSERA_INLINE Float decode_first(const std::byte* source, std::int64_t count) {
  alignas(64) std::byte buffer[kLanes * Plain::kBytes] = {};
  __builtin_memcpy(buffer, source, static_cast<std::size_t>(count * Plain::kBytes));
  return Plain::decode(buffer);
}

// Calls sink(i, v) for every vector of a row of `count` elements; i and v as in decode.h. The last may be
// partial.
template <typename Type, typename Sink>
TESSERA_INLINE void decode_row(const std::byte* row, std::int64_t count, Sink sink) {
  if constexpr (Type::kElements == 1) {
    std::int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) sink(i, Type::decode(row + i * Type::kBytes));
    if (i < count) sink(i, decode_first<Type>(row + i * Type::kBytes, count - i));
  } else {
    alignas(64) float scales[kScaleBlocks * (Type::kScales + 1)];
    for (std::int64_t block = 0; block < count / Type::kElements; ++block) {
      if constexpr (Type::kScales > 0) {
        const std::int64_t left = count / Type::kElements - block;
        if (block % kScaleBlocks == 0) load_scales<Type>(row, smaller(kScaleBlocks, left), scales);
      }
      const float* own = scales + block % kScaleBlocks * Type::kScales;
      Type::decode_block(
          row, own, [&](std::int64_t j, Float v) TESSERA_LAMBDA { sink(block * Type::kElements + j, v); });
      row += Type::kBytes;
    }
  }
}

template <typename Type>
void dequantize(const std::byte* source, float* target, std::int64_t count) {
  decode_row<Type>(source, count, [&](std::int64_t i, Float v) {
    if (i + kLanes <= count) {
      store(target + i, v);
    } else {
      store_first(target + i, v, count - i);
    }
  });
}

// output[r] = sum_lanes(sum(r)) + bias[r] for one row or four.
template <int kRows, typename Sum>
TESSERA_INLINE void store_sums(float* output, const float* bias, Sum sum) {
  static_assert(kRows == 1 || kRows == 4);
  if constexpr (kRows == 4) {
    const auto total = sum_lanes_of_four(sum(0), sum(1), sum(2), sum(3));
    store_four(output, bias != nullptr ? add_four(total, load_four(bias)) : total);
  } else {
    const float total = sum_lanes(sum(0));
    *output = bias != nullptr ? total + *bias : total;
  }
}

// kRows x kTokens outputs from widened weights (rows `stride` apart, zero beyond `count`).
template <int kRows, int kTokens>
void dot_tile(const float* weights, std::int64_t stride, const float* input, std::int64_t input_stride,
              std::int64_t count, const float* bias, float* output, std::int64_t output_stride) {
  Float sums[kRows][kTokens];
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) {
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) sums[r][t] = zero();
  }
  const auto step = [&](std::int64_t k, auto load_input) TESSERA_LAMBDA {
    Float x[kTokens];
    TESSERA_UNROLL
    for (int t = 0; t < kTokens; ++t) x[t] = load_input(input + t * input_stride + k);
    TESSERA_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Float w = load(weights + r * stride + k);
      TESSERA_UNROLL
      for (int t = 0; t < kTokens; ++t) sums[r][t] = multiply_add(w, x[t], sums[r][t]);
    }
  };
  std::int64_t k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    step(k, [](const float* p) TESSERA_LAMBDA { return load(p); });
  }
  if (k < count) {
    step(k, [&](const float* p) TESSERA_LAMBDA { return load_first(p, count - k); });
  }
  TESSERA_UNROLL
  for (int t = 0; t < kTokens; ++t)
    store_sums<kRows>(output + t * output_stride, bias, [&](int r) { return sums[r][t]; });
}

// A row of tiles: `rows` x kTokens outputs.
template <int kTokens>
void dot_strip(const float* weights, std::int64_t stride, std::int64_t rows, const float* input,
               std::int64_t input_stride, std::int64_t count, const float* bias, float* output,
               std::int64_t output_stride) {
  std::int64_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows) {
    dot_tile<kTileRows, kTokens>(weights + r * stride, stride, input, input_stride, count,
                                 bias != nullptr ? bias + r : nullptr, output + r, output_stride);
  }
  for (; r < rows; ++r) {
    dot_tile<1, kTokens>(weights + r * stride, stride, input, input_stride, count,
                         bias != nullptr ? bias + r : nullptr, output + r, output_stride);
  }
}

// All tokens on a panel of widened weight rows.
static void dot_panel(const float* weights, std::int64_t stride, std::int64_t rows,
                      const LinearArguments& arguments, std::int64_t first_row) {
  const float* bias = arguments.bias != nullptr ? arguments.bias + first_row : nullptr;
  for (std::int64_t t = 0; t < arguments.tokens; t += kTileTokens) {
    const float* input = arguments.input + t * arguments.input_stride;
    float* output = arguments.output + t * arguments.output_stride + first_row;
    const auto strip = [&](auto kernel) {
      kernel(weights, stride, rows, input, arguments.input_stride, arguments.in_features, bias, output,
             arguments.output_stride);
    };
    switch (smaller(kTileTokens, arguments.tokens - t)) {
      case 1:
        strip(dot_strip<1>);
        break;
      case 2:
        strip(dot_strip<2>);
        break;
      case 3:
        strip(dot_strip<smaller(3, kTileTokens)>);
        break;
      case 4:
        strip(dot_strip<smaller(4, kTileTokens)>);
        break;
      case 5:
        strip(dot_strip<smaller(5, kTileTokens)>);
        break;
      default:
        strip(dot_strip<kTileTokens>);
        break;
    }
  }
}

// Asks for the weights that will be needed kAhead bytes from now. The rows in step follow each other in
// memory, but the hardware sees kRows short streams that keep jumping, and alone fetches too little too late:
// Q4_1 from memory went from 58 % to 83 % of plain reading with this; 2 to 16 KiB do equally well.
inline constexpr std::int64_t kAhead = 4096;
template <std::int64_t kStepBytes>
TESSERA_INLINE void prefetch_step(const std::byte* group, std::int64_t step) {
  const std::byte* next = group + kAhead + step * kStepBytes;
  TESSERA_UNROLL
  for (std::int64_t line = 0; line < kStepBytes; line += 64) prefetch(next + line);
}

// One token on kRows weight rows, block by block in step.
template <typename Type, int kRows>
TESSERA_INLINE void single_token_rows(const LinearArguments& arguments, std::int64_t row) {
  const std::int64_t count = arguments.in_features;
  const std::int64_t stride = count / Type::kElements * Type::kBytes;
  const std::byte* weights = arguments.weight + row * stride;
  const float* x = arguments.input;
  Float sums[kRows];
  TESSERA_UNROLL
  for (int r = 0; r < kRows; ++r) sums[r] = zero();
  std::int64_t k = 0;
  if constexpr (Type::kElements == 1) {
    for (; k + kLanes <= count; k += kLanes) {
      prefetch_step<kRows * kLanes * Type::kBytes>(weights, k / kLanes);
      const Float input = load(x + k);
      TESSERA_UNROLL
      for (int r = 0; r < kRows; ++r) {
        sums[r] = multiply_add(Type::decode(weights + r * stride + k * Type::kBytes), input, sums[r]);
      }
    }
    for (int r = 0; r < kRows && k < count; ++r) {
      const Float w = decode_first<Type>(weights + r * stride + k * Type::kBytes, count - k);
      sums[r] = multiply_add(w, load_first(x + k, count - k), sums[r]);
    }
  } else {
    alignas(64) float scales[kRows][kScaleBlocks * (Type::kScales + 1)];
    const std::byte* group = weights;
    for (std::int64_t first = 0; first < count / Type::kElements; first += kScaleBlocks) {
      const std::int64_t blocks = smaller(kScaleBlocks, count / Type::kElements - first);
      if constexpr (Type::kScales > 0) {
        for (int r = 0; r < kRows; ++r) load_scales<Type>(weights + r * stride, blocks, scales[r]);
      }
      for (std::int64_t block = 0; block < blocks; ++block, k += Type::kElements, weights += Type::kBytes) {
        prefetch_step<kRows * Type::kBytes>(group, first + block);
        TESSERA_UNROLL
        for (int r = 0; r < kRows; ++r) {
          Type::decode_block(weights + r * stride, scales[r] + block * Type::kScales,
                             [&](std::int64_t i, Float w)
                                 TESSERA_LAMBDA { sums[r] = multiply_add(w, load(x + k + i), sums[r]); });
        }
      }
    }
  }
  store_sums<kRows>(arguments.output + row, arguments.bias != nullptr ? arguments.bias + row : nullptr,
                    [&](int r) { return sums[r]; });
}

template <typename Type>
void single_token(const LinearArguments& arguments) {
  constexpr int kRows = 4;  // in flight together, which hides the latency of a row's chain of sums
  std::int64_t row = arguments.row_begin;
  for (; row + kRows <= arguments.row_end; row += kRows) single_token_rows<Type, kRows>(arguments, row);
  for (; row < arguments.row_end; ++row) single_token_rows<Type, 1>(arguments, row);
}

template <typename Type>
void linear(const LinearArguments& arguments) {
  if (arguments.tokens == 1) return single_token<Type>(arguments);
  const std::int64_t count = arguments.in_features;
  const std::int64_t bytes = count / Type::kElements * Type::kBytes;
  const std::int64_t stride = padded(count);
  float* panel = thread_scratch(kWidenedRows * stride);
  for (std::int64_t row = arguments.row_begin; row < arguments.row_end; row += kWidenedRows) {
    const std::int64_t rows = smaller(kWidenedRows, arguments.row_end - row);
    for (std::int64_t r = 0; r < rows; ++r) {
      float* target = panel + r * stride;
      decode_row<Type>(arguments.weight + (row + r) * bytes, count,
                       [&](std::int64_t i, Float v) { store(target + i, v); });
    }
    dot_panel(panel, stride, rows, arguments, row);
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
