// The packed form of the 256-element "K" super-blocks; see kernels/ref/packed.h. A super-block becomes a head
// (16 d, 16 dmin where the type has them, then its small scales and minima as whole bytes, 16 rows of one
// side by side) and eight parts of 32 columns, each with the planes of bits that the type needs:
//   nibbles  4 groups of 64 bytes, columns k and k + 16 in one byte
//   pairs    2 planes of 64 bytes: bits 2 g and 2 g + 1 of plane h are column 16 h + 4 g + j of lane and j
//   a bit    8 masks of 64 bits, as the fifth bits of Q5_0
// How a stored part is spread over its super-block is said in kernels/ref/dequantize_k_quants.cpp. Here four
// columns at a time are read and written, as the bytes of one word.
#pragma once
#include "kernels/ref/packed.h"

namespace tessera::kernels::ref {

// The 32 integers of a part in one row: column k is byte k % 4 of word k / 4.
using PartWords = std::array<std::uint32_t, 8>;

// Bits [shift, shift + n) of each byte of a word, n given by the mask of one byte.
inline std::uint32_t fields_of(std::uint32_t word, std::int64_t shift, std::uint32_t mask) {
  return (word >> shift) & (mask * 0x01010101U);
}
inline void or_word(std::byte* p, std::uint32_t bits) {
  const std::uint32_t word = u32_at(p, 0) | bits;
  std::memcpy(p, &word, sizeof(word));
}
inline void store_word(std::byte* p, std::uint32_t word) { std::memcpy(p, &word, sizeof(word)); }

inline void put_nibbles(const PartWords& words, std::byte* groups, std::int64_t lane) {
  for (std::size_t g = 0; g < 4; ++g) {
    store_word(groups + 64 * g + 4 * lane,
               fields_of(words[g], 0, 15U) | (fields_of(words[g + 4], 0, 15U) << 4));
  }
}
inline void take_nibbles(PartWords& words, const std::byte* groups, std::int64_t lane) {
  for (std::size_t g = 0; g < 4; ++g) {
    const std::uint32_t word = u32_at(groups, static_cast<std::int64_t>(64 * g) + 4 * lane);
    words[g] |= fields_of(word, 0, 15U);
    words[g + 4] |= fields_of(word, 4, 15U);
  }
}
// Pairs and single bits are bits [shift, ...) of the integers.
inline void put_pairs(const PartWords& words, std::byte* planes, std::int64_t lane, std::int64_t shift) {
  for (std::size_t h = 0; h < 2; ++h) {
    std::uint32_t word = 0;
    for (std::size_t g = 0; g < 4; ++g) word |= fields_of(words[4 * h + g], shift, 3U) << (2 * g);
    store_word(planes + 64 * h + 4 * lane, word);
  }
}
inline void take_pairs(PartWords& words, const std::byte* planes, std::int64_t lane, std::int64_t shift) {
  for (std::size_t h = 0; h < 2; ++h) {
    const std::uint32_t word = u32_at(planes, static_cast<std::int64_t>(64 * h) + 4 * lane);
    for (std::size_t g = 0; g < 4; ++g) {
      words[4 * h + g] |= fields_of(word, static_cast<std::int64_t>(2 * g), 3U) << shift;
    }
  }
}
inline void put_bits(const PartWords& words, std::byte* masks, std::int64_t lane, std::int64_t shift) {
  std::uint32_t bits = 0;
  for (std::size_t g = 0; g < 8; ++g) {
    for (std::size_t j = 0; j < 4; ++j) {
      bits |= ((words[g] >> (8 * j + static_cast<std::size_t>(shift))) & 1U) << (4 * g + j);
    }
  }
  std::byte stored[4];
  store_word(stored, bits);
  put_fifth_bits(stored, masks, lane);
}
inline void take_bits(PartWords& words, const std::byte* masks, std::int64_t lane, std::int64_t shift) {
  std::byte stored[4];
  take_fifth_bits(stored, masks, lane);
  const std::uint32_t bits = u32_at(stored, 0);
  for (std::size_t g = 0; g < 8; ++g) {
    for (std::size_t j = 0; j < 4; ++j) {
      words[g] |= ((bits >> (4 * g + j)) & 1U) << (8 * j + static_cast<std::size_t>(shift));
    }
  }
}

// What all super-blocks share, given how `Type` reads and writes its head and its parts.
template <typename Type>
struct PackedSuperBlock {
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kParts = 8;

  static void put(const std::byte* stored, std::byte* block, std::int64_t lane) {
    Type::put_head(stored, block, lane);
    for (std::int64_t part = 0; part < kParts; ++part) {
      Type::put_part(Type::stored_part(stored, part), block + Type::kHeadBytes + part * Type::kPartBytes,
                     lane);
    }
  }
  static void take(std::byte* stored, const std::byte* block, std::int64_t lane) {
    std::memset(stored, 0, static_cast<std::size_t>(Type::kStoredBytes));
    Type::take_head(stored, block, lane);
    for (std::int64_t part = 0; part < kParts; ++part) {
      Type::store_part(stored, part, packed_part(block, part, lane));
    }
  }
  static PartWords packed_part(const std::byte* block, std::int64_t part, std::int64_t lane) {
    PartWords words{};
    Type::take_part(words, block + Type::kHeadBytes + part * Type::kPartBytes, lane);
    return words;
  }
  static int integer(const std::byte* block, std::int64_t lane, std::int64_t k) {
    const PartWords words = packed_part(block, k / 32, lane);
    const std::uint32_t word = words[static_cast<std::size_t>(k % 32 / 4)];
    return static_cast<int>((word >> (8 * (k % 4))) & 255U) - Type::kOffset;
  }
};

// Q4_K's and Q5_K's twelve bytes: eight 6-bit scales and eight 6-bit minima, two words each.
struct SixBitScales {
  std::array<std::uint32_t, 2> scales;
  std::array<std::uint32_t, 2> minima;
};
inline SixBitScales six_bit_scales(const std::byte* packed) {
  const std::uint32_t a = u32_at(packed, 0);
  const std::uint32_t b = u32_at(packed, 4);
  const std::uint32_t c = u32_at(packed, 8);
  return {{fields_of(a, 0, 63U), fields_of(c, 0, 15U) | (fields_of(a, 6, 3U) << 4)},
          {fields_of(b, 0, 63U), fields_of(c, 4, 15U) | (fields_of(b, 6, 3U) << 4)}};
}
inline void store_six_bit_scales(std::byte* packed, const SixBitScales& six) {
  store_word(packed, six.scales[0] | (fields_of(six.scales[1], 4, 3U) << 6));
  store_word(packed + 4, six.minima[0] | (fields_of(six.minima[1], 4, 3U) << 6));
  store_word(packed + 8, fields_of(six.scales[1], 0, 15U) | (fields_of(six.minima[1], 0, 15U) << 4));
}
// Four bytes of a row, one under the other in sixteen-row vectors.
inline void put_column(std::uint32_t four, std::byte* vectors, std::int64_t lane) {
  for (std::int64_t j = 0; j < 4; ++j) vectors[16 * j + lane] = static_cast<std::byte>(four >> (8 * j));
}
inline std::uint32_t take_column(const std::byte* vectors, std::int64_t lane) {
  std::uint32_t four = 0;
  for (std::int64_t j = 0; j < 4; ++j) four |= byte_at(vectors, 16 * j + lane) << (8 * j);
  return four;
}

// d s q - dmin m, q of 4 bits (Q4_K) or 5 (Q5_K). Head: 16 d, 16 dmin, 8 x 16 scales, 8 x 16 minima. Part:
// [8 masks of fifth bits,] nibbles.
template <bool kFifthBit>
struct PackedQ45K : PackedSuperBlock<PackedQ45K<kFifthBit>> {
  static constexpr std::int64_t kStoredBytes = kFifthBit ? 176 : 144;
  static constexpr std::int64_t kPartBytes = kFifthBit ? 64 + 256 : 256;
  static constexpr std::int64_t kHeadBytes = 64 + 256;
  static constexpr std::int64_t kPanelBytes = kHeadBytes + 8 * kPartBytes;
  static constexpr InputForm kInput = InputForm::sums_of_32;
  static constexpr bool kHasMinimum = true;
  static constexpr int kOffset = 0;
  static constexpr std::int64_t kNibbles = kFifthBit ? 48 : 16;  // in the stored block

  static void put_head(const std::byte* stored, std::byte* block, std::int64_t lane) {
    put_half(stored, block, lane);
    put_half(stored + 2, block + 32, lane);
    const SixBitScales six = six_bit_scales(stored + 4);
    for (std::size_t i = 0; i < 2; ++i) {
      put_column(six.scales[i], block + 64 + 64 * i, lane);
      put_column(six.minima[i], block + 192 + 64 * i, lane);
    }
  }
  static void take_head(std::byte* stored, const std::byte* block, std::int64_t lane) {
    take_half(stored, block, lane);
    take_half(stored + 2, block + 32, lane);
    store_six_bit_scales(stored + 4, {{take_column(block + 64, lane), take_column(block + 128, lane)},
                                      {take_column(block + 192, lane), take_column(block + 256, lane)}});
  }
  static PartWords stored_part(const std::byte* stored, std::int64_t part) {
    PartWords words{};
    for (std::size_t i = 0; i < 8; ++i) {
      const auto at = static_cast<std::int64_t>(4 * i);
      words[i] = fields_of(u32_at(stored, kNibbles + 32 * (part / 2) + at), 4 * (part % 2), 15U);
      if constexpr (kFifthBit) words[i] |= fields_of(u32_at(stored, 16 + at), part, 1U) << 4;
    }
    return words;
  }
  static void store_part(std::byte* stored, std::int64_t part, const PartWords& words) {
    for (std::size_t i = 0; i < 8; ++i) {
      const auto at = static_cast<std::int64_t>(4 * i);
      or_word(stored + kNibbles + 32 * (part / 2) + at, fields_of(words[i], 0, 15U) << (4 * (part % 2)));
      if constexpr (kFifthBit) or_word(stored + 16 + at, fields_of(words[i], 4, 1U) << part);
    }
  }
  static void put_part(const PartWords& words, std::byte* part, std::int64_t lane) {
    if constexpr (kFifthBit) put_bits(words, part, lane, 4);
    put_nibbles(words, part + (kFifthBit ? 64 : 0), lane);
  }
  static void take_part(PartWords& words, const std::byte* part, std::int64_t lane) {
    if constexpr (kFifthBit) take_bits(words, part, lane, 4);
    take_nibbles(words, part + (kFifthBit ? 64 : 0), lane);
  }
  static float scale(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return f16_at(block, 2 * lane) * static_cast<float>(byte_at(block, 64 + 16 * (k / 32) + lane));
  }
  static float minimum(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return -f16_at(block + 32, 2 * lane) * static_cast<float>(byte_at(block, 192 + 16 * (k / 32) + lane));
  }
};
using PackedQ4K = PackedQ45K<false>;
using PackedQ5K = PackedQ45K<true>;

// d s (q - 32), s a signed byte for each 16 elements. Head: 16 d, 16 x 16 scales. Part: pairs of the upper
// two bits, nibbles.
struct PackedQ6K : PackedSuperBlock<PackedQ6K> {
  static constexpr std::int64_t kStoredBytes = 210;
  static constexpr std::int64_t kPartBytes = 128 + 256;
  static constexpr std::int64_t kHeadBytes = 32 + 256;
  static constexpr std::int64_t kPanelBytes = kHeadBytes + 8 * kPartBytes;
  static constexpr InputForm kInput = InputForm::sums_of_16;
  static constexpr bool kHasMinimum = false;
  static constexpr int kOffset = 32;

  static void put_head(const std::byte* stored, std::byte* block, std::int64_t lane) {
    put_half(stored + 208, block, lane);
    for (std::int64_t i = 0; i < 16; ++i) block[32 + 16 * i + lane] = stored[192 + i];
  }
  static void take_head(std::byte* stored, const std::byte* block, std::int64_t lane) {
    take_half(stored + 208, block, lane);
    for (std::int64_t i = 0; i < 16; ++i) stored[192 + i] = block[32 + 16 * i + lane];
  }
  // Halves of four parts: parts j and j + 2 share bytes of nibbles, all four share those of pairs.
  static std::int64_t nibbles(std::int64_t part) { return 64 * (part / 4) + 32 * (part % 2); }
  static std::int64_t pairs(std::int64_t part) { return 128 + 32 * (part / 4); }
  static PartWords stored_part(const std::byte* stored, std::int64_t part) {
    PartWords words{};
    for (std::size_t i = 0; i < 8; ++i) {
      const auto at = static_cast<std::int64_t>(4 * i);
      words[i] = fields_of(u32_at(stored, nibbles(part) + at), part % 4 / 2 * 4, 15U) |
                 (fields_of(u32_at(stored, pairs(part) + at), part % 4 * 2, 3U) << 4);
    }
    return words;
  }
  static void store_part(std::byte* stored, std::int64_t part, const PartWords& words) {
    for (std::size_t i = 0; i < 8; ++i) {
      const auto at = static_cast<std::int64_t>(4 * i);
      or_word(stored + nibbles(part) + at, fields_of(words[i], 0, 15U) << (part % 4 / 2 * 4));
      or_word(stored + pairs(part) + at, fields_of(words[i], 4, 3U) << (part % 4 * 2));
    }
  }
  static void put_part(const PartWords& words, std::byte* part, std::int64_t lane) {
    put_pairs(words, part, lane, 4);
    put_nibbles(words, part + 128, lane);
  }
  static void take_part(PartWords& words, const std::byte* part, std::int64_t lane) {
    take_pairs(words, part, lane, 4);
    take_nibbles(words, part + 128, lane);
  }
  static float scale(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return f16_at(block, 2 * lane) * static_cast<float>(signed_byte_at(block, 32 + 16 * (k / 16) + lane));
  }
};

// d (s & 15) q - dmin (s >> 4), q of 2 bits, a byte s for each 16 elements. Head: 16 d, 16 dmin, 16 x 16
// bytes s. Part: pairs.
struct PackedQ2K : PackedSuperBlock<PackedQ2K> {
  static constexpr std::int64_t kStoredBytes = 84;
  static constexpr std::int64_t kPartBytes = 128;
  static constexpr std::int64_t kHeadBytes = 64 + 256;
  static constexpr std::int64_t kPanelBytes = kHeadBytes + 8 * kPartBytes;
  static constexpr InputForm kInput = InputForm::sums_of_16;
  static constexpr bool kHasMinimum = true;
  static constexpr int kOffset = 0;

  static void put_head(const std::byte* stored, std::byte* block, std::int64_t lane) {
    put_half(stored + 80, block, lane);
    put_half(stored + 82, block + 32, lane);
    for (std::int64_t i = 0; i < 16; ++i) block[64 + 16 * i + lane] = stored[i];
  }
  static void take_head(std::byte* stored, const std::byte* block, std::int64_t lane) {
    take_half(stored + 80, block, lane);
    take_half(stored + 82, block + 32, lane);
    for (std::int64_t i = 0; i < 16; ++i) stored[i] = block[64 + 16 * i + lane];
  }
  static PartWords stored_part(const std::byte* stored, std::int64_t part) {
    PartWords words{};
    for (std::size_t i = 0; i < 8; ++i) {
      const std::int64_t at = 16 + 32 * (part / 4) + static_cast<std::int64_t>(4 * i);
      words[i] = fields_of(u32_at(stored, at), part % 4 * 2, 3U);
    }
    return words;
  }
  static void store_part(std::byte* stored, std::int64_t part, const PartWords& words) {
    for (std::size_t i = 0; i < 8; ++i) {
      or_word(stored + 16 + 32 * (part / 4) + 4 * i, fields_of(words[i], 0, 3U) << (part % 4 * 2));
    }
  }
  static void put_part(const PartWords& words, std::byte* part, std::int64_t lane) {
    put_pairs(words, part, lane, 0);
  }
  static void take_part(PartWords& words, const std::byte* part, std::int64_t lane) {
    take_pairs(words, part, lane, 0);
  }
  static float scale(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return f16_at(block, 2 * lane) * static_cast<float>(byte_at(block, 64 + 16 * (k / 16) + lane) & 15U);
  }
  static float minimum(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return -f16_at(block + 32, 2 * lane) * static_cast<float>(byte_at(block, 64 + 16 * (k / 16) + lane) >> 4);
  }
};

// d s (q - 4), q of 3 bits, s of 6 for each 16 elements. Head: 16 d, 16 x 16 signed bytes s. Part: pairs of
// the lower two bits, 8 masks of the third.
struct PackedQ3K : PackedSuperBlock<PackedQ3K> {
  static constexpr std::int64_t kStoredBytes = 110;
  static constexpr std::int64_t kPartBytes = 128 + 64;
  static constexpr std::int64_t kHeadBytes = 32 + 256;
  static constexpr std::int64_t kPanelBytes = kHeadBytes + 8 * kPartBytes;
  static constexpr InputForm kInput = InputForm::sums_of_16;
  static constexpr bool kHasMinimum = false;
  static constexpr int kOffset = 4;

  // Twelve bytes hold sixteen 6-bit scales, plus 32: nibbles in the first eight, upper pairs in the last
  // four.
  static void put_head(const std::byte* stored, std::byte* block, std::int64_t lane) {
    put_half(stored + 108, block, lane);
    for (std::int64_t i = 0; i < 4; ++i) {
      const std::uint32_t low = fields_of(u32_at(stored, 96 + 4 * (i % 2)), 4 * (i / 2), 15U);
      const std::uint32_t high = fields_of(u32_at(stored, 104), 2 * i, 3U);
      const std::uint32_t four = low | (high << 4);
      for (std::int64_t j = 0; j < 4; ++j) {
        const int scale = static_cast<int>((four >> (8 * j)) & 63U) - 32;
        block[32 + 16 * (4 * i + j) + lane] = static_cast<std::byte>(scale);
      }
    }
  }
  static void take_head(std::byte* stored, const std::byte* block, std::int64_t lane) {
    take_half(stored + 108, block, lane);
    for (std::int64_t i = 0; i < 4; ++i) {
      std::uint32_t four = 0;
      for (std::int64_t j = 0; j < 4; ++j) {
        const int scale = signed_byte_at(block, 32 + 16 * (4 * i + j) + lane) + 32;
        four |= static_cast<std::uint32_t>(scale) << (8 * j);
      }
      or_word(stored + 96 + 4 * (i % 2), fields_of(four, 0, 15U) << (4 * (i / 2)));
      or_word(stored + 104, fields_of(four, 4, 3U) << (2 * i));
    }
  }
  static PartWords stored_part(const std::byte* stored, std::int64_t part) {
    PartWords words{};
    for (std::size_t i = 0; i < 8; ++i) {
      const auto at = static_cast<std::int64_t>(4 * i);
      words[i] = fields_of(u32_at(stored, 32 + 32 * (part / 4) + at), part % 4 * 2, 3U) |
                 (fields_of(u32_at(stored, at), part, 1U) << 2);
    }
    return words;
  }
  static void store_part(std::byte* stored, std::int64_t part, const PartWords& words) {
    for (std::size_t i = 0; i < 8; ++i) {
      or_word(stored + 32 + 32 * (part / 4) + 4 * i, fields_of(words[i], 0, 3U) << (part % 4 * 2));
      or_word(stored + 4 * i, fields_of(words[i], 2, 1U) << part);
    }
  }
  static void put_part(const PartWords& words, std::byte* part, std::int64_t lane) {
    put_pairs(words, part, lane, 0);
    put_bits(words, part + 128, lane, 2);
  }
  static void take_part(PartWords& words, const std::byte* part, std::int64_t lane) {
    take_pairs(words, part, lane, 0);
    take_bits(words, part + 128, lane, 2);
  }
  static float scale(const std::byte* block, std::int64_t lane, std::int64_t k) {
    return f16_at(block, 2 * lane) * static_cast<float>(signed_byte_at(block, 32 + 16 * (k / 16) + lane));
  }
};

}  // namespace tessera::kernels::ref
