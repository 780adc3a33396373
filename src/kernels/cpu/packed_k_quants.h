// The packed 256-element super-blocks as the kernels of one ISA read them; kernels/ref/packed_k_quants.h says
// where everything lies. Products of their scales are exact in float32 (11 + 7 bits at most).
#pragma once
#include "kernels/cpu/packed_linear.h"

namespace tessera::kernels::TESSERA_ISA {

template <std::int64_t kHead, std::int64_t kPart, int kShiftBits, bool kMinimum, InputForm kInputForm>
struct SuperBlock : WordInputs::Tile {
  static constexpr InputForm kForm = kInputForm;
  static constexpr std::int64_t kElements = 256;
  static constexpr std::int64_t kPanelBytes = kHead + 8 * kPart;
  static constexpr int kShift = kShiftBits;
  static constexpr bool kHasMinimum = kMinimum;
  TESSERA_INLINE static const std::byte* part_of(const std::byte* block, std::int64_t part) {
    return block + kHead + part * kPart;
  }
};

// Sixteen rows of scale number `index`: f16 at `halves` times the bytes at `bytes`.
TESSERA_INLINE Float scaled_bytes(const std::byte* halves, const std::byte* bytes, std::int64_t index,
                                  std::int64_t lane) {
  return multiply(load_f16(halves + 2 * lane), to_float(load_bytes(bytes + 16 * index + lane)));
}
TESSERA_INLINE Float scaled_signed_bytes(const std::byte* halves, const std::byte* bytes, std::int64_t index,
                                         std::int64_t lane) {
  return multiply(load_f16(halves + 2 * lane), to_float(load_signed_bytes(bytes + 16 * index + lane)));
}
TESSERA_INLINE Float negative(Float v) { return subtract(zero(), v); }

struct PackedQ4K : SuperBlock<320, 256, -1, true, InputForm::sums_of_32> {
  TESSERA_INLINE static Float scale(const std::byte* block, std::int64_t part, int /*half*/,
                                    std::int64_t lane) {
    return scaled_bytes(block, block + 64, part, lane);
  }
  TESSERA_INLINE static Float minimum(const std::byte* block, std::int64_t part, int /*half*/,
                                      std::int64_t lane) {
    return negative(scaled_bytes(block + 32, block + 192, part, lane));
  }
  TESSERA_INLINE static void pair(const std::byte* block, std::int64_t part, int g, std::int64_t lane,
                                  Int& low, Int& high) {
    nibble_pair<0>(part_of(block, part), g, lane, low, high);
  }
};

struct PackedQ5K : SuperBlock<320, 320, -1, true, InputForm::sums_of_32> {
  TESSERA_INLINE static Float scale(const std::byte* block, std::int64_t part, int half, std::int64_t lane) {
    return PackedQ4K::scale(block, part, half, lane);
  }
  TESSERA_INLINE static Float minimum(const std::byte* block, std::int64_t part, int half,
                                      std::int64_t lane) {
    return PackedQ4K::minimum(block, part, half, lane);
  }
  TESSERA_INLINE static void pair(const std::byte* block, std::int64_t part, int g, std::int64_t lane,
                                  Int& low, Int& high) {
    five_bit_pair<0>(part_of(block, part), g, lane, low, high);
  }
};

struct PackedQ6K : SuperBlock<288, 384, 5, false, InputForm::sums_of_16> {
  TESSERA_INLINE static Float scale(const std::byte* block, std::int64_t part, int half, std::int64_t lane) {
    return scaled_signed_bytes(block, block + 32, 2 * part + half, lane);
  }
  TESSERA_INLINE static void pair(const std::byte* block, std::int64_t part, int g, std::int64_t lane,
                                  Int& low, Int& high) {
    const std::byte* planes = part_of(block, part);
    nibble_pair<128>(planes, g, lane, low, high);
    low = or_bytes(low, pairs_of<4>(load_group(planes + 4 * lane), g));
    high = or_bytes(high, pairs_of<4>(load_group(planes + 64 + 4 * lane), g));
  }
};

struct PackedQ2K : SuperBlock<320, 128, -1, true, InputForm::sums_of_16> {
  TESSERA_INLINE static Float scale(const std::byte* block, std::int64_t part, int half, std::int64_t lane) {
    const Int both = load_bytes(block + 64 + 16 * (2 * part + half) + lane);
    return multiply(load_f16(block + 2 * lane), to_float(bit_and(both, 15)));
  }
  TESSERA_INLINE static Float minimum(const std::byte* block, std::int64_t part, int half,
                                      std::int64_t lane) {
    const Int both = load_bytes(block + 64 + 16 * (2 * part + half) + lane);
    return negative(multiply(load_f16(block + 32 + 2 * lane), to_float(shift_right(both, 4))));
  }
  TESSERA_INLINE static void pair(const std::byte* block, std::int64_t part, int g, std::int64_t lane,
                                  Int& low, Int& high) {
    low = pairs_of<0>(load_group(part_of(block, part) + 4 * lane), g);
    high = pairs_of<0>(load_group(part_of(block, part) + 64 + 4 * lane), g);
  }
};

struct PackedQ3K : SuperBlock<288, 192, 2, false, InputForm::sums_of_16> {
  TESSERA_INLINE static Float scale(const std::byte* block, std::int64_t part, int half, std::int64_t lane) {
    return scaled_signed_bytes(block, block + 32, 2 * part + half, lane);
  }
  TESSERA_INLINE static void pair(const std::byte* block, std::int64_t part, int g, std::int64_t lane,
                                  Int& low, Int& high) {
    const std::byte* planes = part_of(block, part);
    low = pairs_of<0>(load_group(planes + 4 * lane), g);
    high = pairs_of<0>(load_group(planes + 64 + 4 * lane), g);
    low = add_masked(low, planes + 128 + 8 * g + lane / 2, 4);
    high = add_masked(high, planes + 128 + 8 * (g + 4) + lane / 2, 4);
  }
};

}  // namespace tessera::kernels::TESSERA_ISA
