// The packed form of every type (kernels/packed_layout.h), element by element: how a stored block is taken
// apart and put together, and what integer, scale and minimum the packed block holds. Each type is a struct
// of
//   kElements, kStoredBytes     the stored block
//   kPanelBytes                 16 packed blocks
//   kInput                      the input its kernels read
//   put(stored, block, lane)    row `lane` of a packed block from a stored block; take() is the reverse
//   integer, scale, minimum     of element k, so that weight = scale * integer + minimum
#pragma once
#include <array>
#include <cstring>

#include "kernels/kernel_table.h"
#include "kernels/ref/block_fields.h"

namespace tessera::kernels::ref {

// Copies `words` 4-byte words between a stored block and lane `lane` of the groups of 64 bytes in a packed
// one.
inline void put_words(const std::byte* stored, std::byte* groups, std::int64_t lane, std::int64_t words) {
  for (std::int64_t g = 0; g < words; ++g) std::memcpy(groups + 64 * g + 4 * lane, stored + 4 * g, 4);
}
inline void take_words(std::byte* stored, const std::byte* groups, std::int64_t lane, std::int64_t words) {
  for (std::int64_t g = 0; g < words; ++g) std::memcpy(stored + 4 * g, groups + 64 * g + 4 * lane, 4);
}
inline void put_half(const std::byte* stored, std::byte* halves, std::int64_t lane) {
  std::memcpy(halves + 2 * lane, stored, 2);
}
inline void take_half(std::byte* stored, const std::byte* halves, std::int64_t lane) {
  std::memcpy(stored, halves + 2 * lane, 2);
}

// The nibble of column k of row `lane` in groups whose bytes hold columns k and k + 16.
inline int nibble(const std::byte* groups, std::int64_t lane, std::int64_t k) {
  const unsigned byte = byte_at(groups, 64 * (k % 16 / 4) + 4 * lane + k % 4);
  return static_cast<int>(k < 16 ? byte & 15U : byte >> 4);
}

// Fifth bits: the 64-bit mask of group g (columns 4 g ... 4 g + 3) has row r's column 4 g + j at bit 4 r + j,
// so a row owns half a byte of each mask. Stored: bit k of 32.
inline void put_fifth_bits(const std::byte* stored, std::byte* masks, std::int64_t lane) {
  const std::uint32_t bits = u32_at(stored, 0);
  for (std::int64_t g = 0; g < 8; ++g) {
    const unsigned four = (bits >> (4 * g)) & 15U;
    std::byte& byte = masks[8 * g + lane / 2];
    const unsigned other = byte_at(&byte, 0) & (lane % 2 == 0 ? 0xf0U : 0x0fU);
    byte = static_cast<std::byte>(other | (lane % 2 == 0 ? four : four << 4));
  }
}
inline void take_fifth_bits(std::byte* stored, const std::byte* masks, std::int64_t lane) {
  std::uint32_t bits = 0;
  for (std::int64_t g = 0; g < 8; ++g) {
    const unsigned byte = byte_at(masks, 8 * g + lane / 2);
    bits |= (lane % 2 == 0 ? byte & 15U : byte >> 4) << (4 * g);
  }
  std::memcpy(stored, &bits, sizeof(bits));
}
inline int fifth_bit(const std::byte* masks, std::int64_t lane, std::int64_t k) {
  const unsigned byte = byte_at(masks, 8 * (k / 4) + lane / 2);
  return static_cast<int>((byte >> (lane % 2 * 4 + k % 4)) & 1U) << 4;
}

// d (q - 8): 16 scales, 4 groups of nibbles.
struct PackedQ4_0 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kStoredBytes = 18;
  static constexpr std::int64_t kPanelBytes = 32 + 256;
  static constexpr InputForm kInput = InputForm::sums_of_32;
  static constexpr bool kHasMinimum = false;
  static void put(const std::byte* stored, std::byte* block, std::int64_t lane) {
    put_half(stored, block, lane);
    put_words(stored + 2, block + 32, lane, 4);
  }
  static void take(std::byte* stored, const std::byte* block, std::int64_t lane) {
    take_half(stored, block, lane);
    take_words(stored + 2, block + 32, lane, 4);
  }
  static int integer(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return nibble(block + 32, lane, k) - 8;
  }
  static float scale(const std::byte* block, std::int64_t lane, std::int64_t /*k*/) {
    return f16_at(block, 2 * lane);
  }
};

// d levels[q]: as Q4_0, the nibbles being indices.
struct PackedIq4Nl : PackedQ4_0 {
  static constexpr std::array<int, 16> kLevels{-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};
  static int integer(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return kLevels[static_cast<std::size_t>(nibble(block + 32, lane, k))];
  }
};

// d q + m: 16 scales, 16 minima, 4 groups of nibbles.
struct PackedQ4_1 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kStoredBytes = 20;
  static constexpr std::int64_t kPanelBytes = 64 + 256;
  static constexpr InputForm kInput = InputForm::sums_of_32;
  static constexpr bool kHasMinimum = true;
  static void put(const std::byte* stored, std::byte* block, std::int64_t lane) {
    put_half(stored, block, lane);
    put_half(stored + 2, block + 32, lane);
    put_words(stored + 4, block + 64, lane, 4);
  }
  static void take(std::byte* stored, const std::byte* block, std::int64_t lane) {
    take_half(stored, block, lane);
    take_half(stored + 2, block + 32, lane);
    take_words(stored + 4, block + 64, lane, 4);
  }
  static int integer(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return nibble(block + 64, lane, k);
  }
  static float scale(const std::byte* block, std::int64_t lane, std::int64_t /*k*/) {
    return f16_at(block, 2 * lane);
  }
  static float minimum(const std::byte* block, std::int64_t lane, std::int64_t /*k*/) {
    return f16_at(block + 32, 2 * lane);
  }
};

// d (q - 16): 16 scales, 8 masks of fifth bits, 4 groups of nibbles.
struct PackedQ5_0 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kStoredBytes = 22;
  static constexpr std::int64_t kPanelBytes = 32 + 64 + 256;
  static constexpr InputForm kInput = InputForm::sums_of_32;
  static constexpr bool kHasMinimum = false;
  static void put(const std::byte* stored, std::byte* block, std::int64_t lane) {
    put_half(stored, block, lane);
    put_fifth_bits(stored + 2, block + 32, lane);
    put_words(stored + 6, block + 96, lane, 4);
  }
  static void take(std::byte* stored, const std::byte* block, std::int64_t lane) {
    take_half(stored, block, lane);
    take_fifth_bits(stored + 2, block + 32, lane);
    take_words(stored + 6, block + 96, lane, 4);
  }
  static int integer(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return (nibble(block + 96, lane, k) | fifth_bit(block + 32, lane, k)) - 16;
  }
  static float scale(const std::byte* block, std::int64_t lane, std::int64_t /*k*/) {
    return f16_at(block, 2 * lane);
  }
};

// d q + m: 16 scales, 16 minima, 8 masks of fifth bits, 4 groups of nibbles.
struct PackedQ5_1 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kStoredBytes = 24;
  static constexpr std::int64_t kPanelBytes = 64 + 64 + 256;
  static constexpr InputForm kInput = InputForm::sums_of_32;
  static constexpr bool kHasMinimum = true;
  static void put(const std::byte* stored, std::byte* block, std::int64_t lane) {
    put_half(stored, block, lane);
    put_half(stored + 2, block + 32, lane);
    put_fifth_bits(stored + 4, block + 64, lane);
    put_words(stored + 8, block + 128, lane, 4);
  }
  static void take(std::byte* stored, const std::byte* block, std::int64_t lane) {
    take_half(stored, block, lane);
    take_half(stored + 2, block + 32, lane);
    take_fifth_bits(stored + 4, block + 64, lane);
    take_words(stored + 8, block + 128, lane, 4);
  }
  static int integer(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return nibble(block + 128, lane, k) | fifth_bit(block + 64, lane, k);
  }
  static float scale(const std::byte* block, std::int64_t lane, std::int64_t /*k*/) {
    return f16_at(block, 2 * lane);
  }
  static float minimum(const std::byte* block, std::int64_t lane, std::int64_t /*k*/) {
    return f16_at(block + 32, 2 * lane);
  }
};

// d q: 16 scales, 8 groups of bytes q + 128 (the instruction wants weights without sign).
struct PackedQ8_0 {
  static constexpr std::int64_t kElements = 32;
  static constexpr std::int64_t kStoredBytes = 34;
  static constexpr std::int64_t kPanelBytes = 32 + 512;
  static constexpr InputForm kInput = InputForm::sums_of_32;
  static constexpr bool kHasMinimum = false;
  static constexpr std::uint32_t kSigns = 0x80808080U;
  static void put(const std::byte* stored, std::byte* block, std::int64_t lane) {
    put_half(stored, block, lane);
    for (std::int64_t g = 0; g < 8; ++g) {
      const std::uint32_t four = u32_at(stored, 2 + 4 * g) ^ kSigns;
      std::memcpy(block + 32 + 64 * g + 4 * lane, &four, sizeof(four));
    }
  }
  static void take(std::byte* stored, const std::byte* block, std::int64_t lane) {
    take_half(stored, block, lane);
    for (std::int64_t g = 0; g < 8; ++g) {
      const std::uint32_t four = u32_at(block, 32 + 64 * g + 4 * lane) ^ kSigns;
      std::memcpy(stored + 2 + 4 * g, &four, sizeof(four));
    }
  }
  static int integer(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return static_cast<int>(byte_at(block, 32 + 64 * (k / 4) + 4 * lane + k % 4)) - 128;
  }
  static float scale(const std::byte* block, std::int64_t lane, std::int64_t /*k*/) {
    return f16_at(block, 2 * lane);
  }
};

// Blocks outside, rows inside: sixteen streams are read, one is written.
template <typename Type>
void pack(const PackArguments& arguments) {
  const std::int64_t blocks = arguments.in_features / Type::kElements;
  for (std::int64_t panel = arguments.panel_begin; panel < arguments.panel_end; ++panel) {
    const std::int64_t first = panel * kPanelRows;
    const std::int64_t rows = arguments.rows - first < kPanelRows ? arguments.rows - first : kPanelRows;
    std::byte* target = arguments.packed + panel * blocks * Type::kPanelBytes;
    if (rows < kPanelRows) std::memset(target, 0, static_cast<std::size_t>(blocks * Type::kPanelBytes));
    for (std::int64_t block = 0; block < blocks; ++block, target += Type::kPanelBytes) {
      const std::byte* source = arguments.stored + (first * blocks + block) * Type::kStoredBytes;
      for (std::int64_t lane = 0; lane < rows; ++lane, source += blocks * Type::kStoredBytes) {
        Type::put(source, target, lane);
      }
    }
  }
}

template <typename Type>
void unpack_row(const std::byte* packed, std::byte* stored, std::int64_t in_features, std::int64_t row) {
  const std::int64_t blocks = in_features / Type::kElements;
  const std::byte* panel = packed + row / kPanelRows * blocks * Type::kPanelBytes;
  for (std::int64_t block = 0; block < blocks; ++block) {
    Type::take(stored + block * Type::kStoredBytes, panel + block * Type::kPanelBytes, row % kPanelRows);
  }
}

}  // namespace tessera::kernels::ref
