// The packed types as the kernels of one ISA read them: integers as unsigned bytes in groups of four columns,
// scales and minima as float32 vectors; kernels/ref/packed.h says where they lie. `lane` is the first of
// kLanes rows within the panel.
#pragma once
#include "kernels/packed_layout.h"

namespace tessera::kernels::TESSERA_ISA {

// IQ4_NL's levels plus 128.
alignas(16) static constexpr std::uint8_t kShiftedLevels[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                                129, 141, 153, 166, 181, 197, 217, 241};

// What the 32-element types have in common. kShift: the stored integers are the unsigned ones minus 2^kShift;
// -1: not at all. pair(): the integers of columns 4 g ... and 16 + 4 g ... of the block. The parts are the 32
// elements each of a larger block; `half` tells the first 16 of a part from the last where a type has scales
// for each.
template <std::int64_t kBytes, int kShiftBits, bool kMinimum>
struct Block32 : WordInputs::Tile {
  static constexpr InputForm kForm = InputForm::sums_of_32;
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kPanelBytes = kBytes;
  static constexpr int kShift = kShiftBits;
  static constexpr bool kHasMinimum = kMinimum;
  TESSERA_INLINE static Float scale(const std::byte* block, std::int64_t /*part*/, int /*half*/,
                                    std::int64_t lane) {
    return load_f16(block + 2 * lane);
  }
  TESSERA_INLINE static Float minimum(const std::byte* block, std::int64_t /*part*/, int /*half*/,
                                      std::int64_t lane) {
    return load_f16(block + 32 + 2 * lane);
  }
};

template <std::int64_t kOffset>
TESSERA_INLINE void nibble_pair(const std::byte* block, int g, std::int64_t lane, Int& low, Int& high) {
  const Int bytes = load_group(block + kOffset + 64 * g + 4 * lane);
  low = low_nibbles_of(bytes);
  high = high_nibbles_of(bytes);
}
template <std::int64_t kOffset>
TESSERA_INLINE void five_bit_pair(const std::byte* block, int g, std::int64_t lane, Int& low, Int& high) {
  nibble_pair<kOffset + 64>(block, g, lane, low, high);
  low = add_masked(low, block + kOffset + 8 * g + lane / 2, 16);
  high = add_masked(high, block + kOffset + 8 * (g + 4) + lane / 2, 16);
}

struct PackedQ4_0 : Block32<288, 3, false> {
  TESSERA_INLINE static void pair(const std::byte* block, std::int64_t /*part*/, int g, std::int64_t lane,
                                  Int& low, Int& high) {
    nibble_pair<32>(block, g, lane, low, high);
  }
};

struct PackedQ4_1 : Block32<320, -1, true> {
  TESSERA_INLINE static void pair(const std::byte* block, std::int64_t /*part*/, int g, std::int64_t lane,
                                  Int& low, Int& high) {
    nibble_pair<64>(block, g, lane, low, high);
  }
};

struct PackedQ5_0 : Block32<352, 4, false> {
  TESSERA_INLINE static void pair(const std::byte* block, std::int64_t /*part*/, int g, std::int64_t lane,
                                  Int& low, Int& high) {
    five_bit_pair<32>(block, g, lane, low, high);
  }
};

struct PackedQ5_1 : Block32<384, -1, true> {
  TESSERA_INLINE static void pair(const std::byte* block, std::int64_t /*part*/, int g, std::int64_t lane,
                                  Int& low, Int& high) {
    five_bit_pair<64>(block, g, lane, low, high);
  }
};

struct PackedIq4Nl : Block32<288, 7, false> {
  TESSERA_INLINE static void pair(const std::byte* block, std::int64_t /*part*/, int g, std::int64_t lane,
                                  Int& low, Int& high) {
    nibble_pair<32>(block, g, lane, low, high);
    low = look_up(kShiftedLevels, low);
    high = look_up(kShiftedLevels, high);
  }
};

struct PackedQ8_0 : Block32<544, 7, false> {
  TESSERA_INLINE static void pair(const std::byte* block, std::int64_t /*part*/, int g, std::int64_t lane,
                                  Int& low, Int& high) {
    low = load_group(block + 32 + 64 * g + 4 * lane);
    high = load_group(block + 32 + 64 * (g + 4) + 4 * lane);
  }
};

}  // namespace tessera::kernels::TESSERA_ISA
