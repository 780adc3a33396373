// y = x Wᵀ + b on packed block-quantised weights with tile registers. The integers are exact and the float
// operations are those of kernels/cpu/packed_linear.h in their order, so that the bits are those of AVX-512:
// tokens that do not fill a tile go there. Included after a header that defines the tiles, in files compiled
// for AVX-512.
//
// A group of a panel, [16 rows][4 columns] bytes, is one row of a weight tile as it lies: a block of 32
// columns makes a tile of 8 rows, which meets 16 tokens at once. High and low halves of the inputs have a
// tile each.
#pragma once
#include "kernels/cpu/isa/avx512_integer.h"
//
#include "kernels/cpu/packed_k_quants.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/tile_products.h"
#include "kernels/kernel_table.h"

namespace tessera::kernels::TESSERA_TILES {

inline constexpr std::int64_t kTileBytes = 512;  // of the integers of 32 columns
// Inputs of so many bytes stay in the second-level cache while all panels pass by.
inline constexpr std::int64_t kTiledInputBytes = 1024 * 1024;

// One panel spread out: for each block of 32 columns its integers as a tile, then its scales and minima.
struct SpreadPanel {
  std::byte* integers;  // [blocks][8][16 rows][4 columns]
  float* scales;        // [blocks][16]
  float* minima;        // [blocks][16]
  TESSERA_INLINE SpreadPanel(float* memory, std::int64_t blocks)
      : integers(reinterpret_cast<std::byte*>(memory)),
        scales(memory + blocks * kTileBytes / 4),
        minima(scales + blocks * kPanelRows) {}
  static constexpr std::int64_t floats(std::int64_t blocks) { return blocks * (kTileBytes / 4 + 32); }
};

template <typename Type>
TESSERA_INLINE void spread(const std::byte* panel, std::int64_t blocks, const SpreadPanel& target) {
  constexpr std::int64_t kParts = Type::kElements / kInputBlock;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::byte* block = panel + b / kParts * Type::kPanelBytes;
    const std::int64_t part = b % kParts;
    std::byte* integers = target.integers + b * kTileBytes;
    TESSERA_UNROLL
    for (int g = 0; g < 4; ++g) {
      Int low;
      Int high;
      Type::pair(block, part, g, 0, low, high);
      _mm512_store_si512(integers + 64 * g, low);
      _mm512_store_si512(integers + 256 + 64 * g, high);
    }
    store(target.scales + b * kPanelRows, Type::scale(block, part, 0, 0));
    if constexpr (Type::kHasMinimum) {
      store(target.minima + b * kPanelRows, Type::minimum(block, part, 0, 0));
    }
  }
}

TESSERA_INLINE TileShapes integer_shapes() {
  TileShapes shapes;
  for (int tile = 0; tile < 4; ++tile) {  // sums: two blocks' high and low
    shapes.rows[tile] = 16;
    shapes.row_bytes[tile] = 64;
  }
  for (int tile = 4; tile < 6; ++tile) {  // inputs: high and low
    shapes.rows[tile] = 16;
    shapes.row_bytes[tile] = 32;
  }
  shapes.rows[6] = 8;  // weights
  shapes.row_bytes[6] = 64;
  return shapes;
}

// The integer products of block `b` for 16 tokens: target[half][token][row], through tiles kHigh and kHigh
// + 1.
template <int kHigh>
TESSERA_INLINE void multiply_block(const std::byte* input, std::int64_t stride, std::int64_t columns,
                                   const std::byte* integers, std::int64_t b, std::int32_t* target) {
  Tiles::zero<kHigh>();
  Tiles::zero<kHigh + 1>();
  Tiles::load<4>(input + kInputBlock * b, stride);
  Tiles::load<5>(input + columns + kInputBlock * b, stride);
  Tiles::load<6>(integers + kTileBytes * b, 64);
  Tiles::add_byte_products<kHigh, 4, 6>();
  Tiles::add_byte_products<kHigh + 1, 5, 6>();
  Tiles::store<kHigh>(target, 64);
  Tiles::store<kHigh + 1>(target + 256, 64);
}

// sums[t] += the block's products times its scales: as add_block() of packed_linear.h does it.
template <typename Type>
TESSERA_INLINE void scale_block(const std::int32_t* products, const std::byte* input, std::int64_t stride,
                                const InputLayout& layout, const SpreadPanel& panel, std::int64_t b,
                                Float (&sums)[kTileRows16]) {
  const Float scale = load(panel.scales + b * kPanelRows);
  Float minimum = zero();
  if constexpr (Type::kHasMinimum) minimum = load(panel.minima + b * kPanelRows);
  TESSERA_UNROLL
  for (int t = 0; t < kTileRows16; ++t) {
    const std::byte* row = input + t * stride;
    WordInputs::Sum sum{_mm512_load_si512(products + 16 * t), _mm512_load_si512(products + 256 + 16 * t)};
    if constexpr (Type::kShift >= 0) {
      sum.low = add_int(sum.low, shift_left(broadcast_word(row + layout.sums + 4 * b), Type::kShift));
    }
    const Float both = multiply(scale, broadcast_float(row + layout.scales + 4 * b));
    sums[t] = multiply_add(to_float(WordInputs::finish(sum)), both, sums[t]);
    if constexpr (Type::kHasMinimum) {
      sums[t] = multiply_add(minimum, broadcast_float(row + layout.scaled_sums + 4 * b), sums[t]);
    }
  }
}

// 16 tokens from `token` on, on the 16 rows from `row` on. The tiles work on a block while the scales of the
// one before it are applied.
template <typename Type>
void integer_tile(const PackedLinearArguments& arguments, const SpreadPanel& panel, std::int64_t row,
                  std::int64_t token) {
  const std::int64_t columns = arguments.in_features;
  const std::int64_t stride = arguments.input_stride;
  const std::int64_t blocks = columns / kInputBlock;
  const InputLayout layout(Type::kForm, columns);
  const std::byte* input = arguments.input + token * stride;
  alignas(64) std::int32_t products[2][512];
  Float sums[kTileRows16];
  TESSERA_UNROLL
  for (auto& sum : sums) sum = zero();
  multiply_block<0>(input, stride, columns, panel.integers, 0, products[0]);
  for (std::int64_t b = 0; b < blocks; b += 2) {
    if (b + 1 < blocks) multiply_block<2>(input, stride, columns, panel.integers, b + 1, products[1]);
    scale_block<Type>(products[0], input, stride, layout, panel, b, sums);
    if (b + 1 == blocks) break;
    if (b + 2 < blocks) multiply_block<0>(input, stride, columns, panel.integers, b + 2, products[0]);
    scale_block<Type>(products[1], input, stride, layout, panel, b + 1, sums);
  }
  TESSERA_UNROLL
  for (int t = 0; t < kTileRows16; ++t) store_outputs(arguments, token + t, row, sums[t]);
}

// Tokens [0, whole), a multiple of 16.
template <typename Type>
void integer_tiles(const PackedLinearArguments& arguments, std::int64_t whole) {
  const std::int64_t blocks = arguments.in_features / kInputBlock;
  const std::int64_t panel_bytes = arguments.in_features / Type::kElements * Type::kPanelBytes;
  const SpreadPanel panel(thread_scratch(SpreadPanel::floats(blocks)), blocks);
  const std::int64_t fitting = kTiledInputBytes / arguments.input_stride / kTileRows16 * kTileRows16;
  const std::int64_t step = fitting > 8 * kTileRows16 ? fitting : 8 * kTileRows16;
  Tiles::configure(integer_shapes());
  for (std::int64_t begin = 0; begin < whole; begin += step) {
    const std::int64_t end = least(whole, begin + step);
    std::int64_t row = arguments.row_begin / kPanelRows * kPanelRows;
    for (; row < arguments.row_end; row += kPanelRows) {
      spread<Type>(arguments.weight + row / kPanelRows * panel_bytes, blocks, panel);
      for (std::int64_t token = begin; token < end; token += kTileRows16) {
        integer_tile<Type>(arguments, panel, row, token);
      }
    }
  }
  Tiles::release();
}

template <typename Type, DType kDType>
void tiled_integers(const PackedLinearArguments& arguments) {
  const std::int64_t whole = arguments.tokens / kTileRows16 * kTileRows16;
  if (whole > 0) integer_tiles<Type>(arguments, whole);
  if (whole == arguments.tokens) return;
  PackedLinearArguments rest = arguments;
  rest.input += whole * arguments.input_stride;
  rest.output += whole * arguments.output_stride;
  rest.tokens -= whole;
  table(Isa::avx512).packed[static_cast<int>(kDType)].linear(rest);
}

}  // namespace tessera::kernels::TESSERA_TILES
