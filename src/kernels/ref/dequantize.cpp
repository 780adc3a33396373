// Plain types and the 32-element blocks of GGUF (ggml's block formats). A nibble byte j holds element j in
// its low half and element j + 16 in its high half. The products are rounded in the order written, d * q
// before the sum with m, which is what the format's other readers do; so all of them give the same bits.
#include <array>

#include "kernels/ref/block_fields.h"
#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

constexpr std::int64_t kBlock = 32;
constexpr std::int64_t kHalf = 16;

// IQ4_NL: 4-bit indices into 16 fixed levels, denser near zero, as the format defines them.
constexpr std::array<int, 16> kNonLinearLevels{-127, -104, -83, -65, -49, -35, -22, -10,
                                               1,    13,   25,  38,  53,  69,  89,  113};

template <typename DecodeBlock>
void for_each_block(const std::byte* source, float* target, std::int64_t count, std::int64_t block_bytes,
                    DecodeBlock decode) {
  for (std::int64_t i = 0; i < count; i += kBlock, source += block_bytes) decode(source, target + i);
}

unsigned low_nibble(unsigned byte) { return byte & 15U; }
unsigned high_nibble(unsigned byte) { return byte >> 4; }
// Bit `bit` of a mask of fifth bits, moved to its place above a nibble.
unsigned fifth_bit(std::uint32_t mask, std::int64_t bit) { return ((mask >> bit) & 1U) << 4; }
float centred(unsigned value, int middle) { return static_cast<float>(static_cast<int>(value) - middle); }

}  // namespace

void dequantize_f32(const std::byte* source, float* target, std::int64_t count) {
  std::memcpy(target, source, static_cast<std::size_t>(count) * sizeof(float));
}

void dequantize_f16(const std::byte* source, float* target, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) target[i] = f16_at(source, 2 * i);
}

void dequantize_bf16(const std::byte* source, float* target, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, source + 2 * i, sizeof(bits));
    target[i] = bf16_to_f32(bits);
  }
}

// x = d (q - 8)
void dequantize_q4_0(const std::byte* source, float* target, std::int64_t count) {
  for_each_block(source, target, count, 18, [](const std::byte* block, float* x) {
    const float d = f16_at(block, 0);
    for (std::int64_t j = 0; j < kHalf; ++j) {
      const unsigned packed = byte_at(block, 2 + j);
      x[j] = d * centred(low_nibble(packed), 8);
      x[j + kHalf] = d * centred(high_nibble(packed), 8);
    }
  });
}

// x = d q + m
void dequantize_q4_1(const std::byte* source, float* target, std::int64_t count) {
  for_each_block(source, target, count, 20, [](const std::byte* block, float* x) {
    const float d = f16_at(block, 0);
    const float m = f16_at(block, 2);
    for (std::int64_t j = 0; j < kHalf; ++j) {
      const unsigned packed = byte_at(block, 4 + j);
      x[j] = d * static_cast<float>(low_nibble(packed)) + m;
      x[j + kHalf] = d * static_cast<float>(high_nibble(packed)) + m;
    }
  });
}

// x = d (q - 16), the fifth bits in a 32-bit mask
void dequantize_q5_0(const std::byte* source, float* target, std::int64_t count) {
  for_each_block(source, target, count, 22, [](const std::byte* block, float* x) {
    const float d = f16_at(block, 0);
    const std::uint32_t fifth = u32_at(block, 2);
    for (std::int64_t j = 0; j < kHalf; ++j) {
      const unsigned packed = byte_at(block, 6 + j);
      x[j] = d * centred(low_nibble(packed) | fifth_bit(fifth, j), 16);
      x[j + kHalf] = d * centred(high_nibble(packed) | fifth_bit(fifth, j + kHalf), 16);
    }
  });
}

// x = d q + m, the fifth bits in a 32-bit mask
void dequantize_q5_1(const std::byte* source, float* target, std::int64_t count) {
  for_each_block(source, target, count, 24, [](const std::byte* block, float* x) {
    const float d = f16_at(block, 0);
    const float m = f16_at(block, 2);
    const std::uint32_t fifth = u32_at(block, 4);
    for (std::int64_t j = 0; j < kHalf; ++j) {
      const unsigned packed = byte_at(block, 8 + j);
      x[j] = d * static_cast<float>(low_nibble(packed) | fifth_bit(fifth, j)) + m;
      x[j + kHalf] = d * static_cast<float>(high_nibble(packed) | fifth_bit(fifth, j + kHalf)) + m;
    }
  });
}

// x = d q, q a signed byte
void dequantize_q8_0(const std::byte* source, float* target, std::int64_t count) {
  for_each_block(source, target, count, 34, [](const std::byte* block, float* x) {
    const float d = f16_at(block, 0);
    for (std::int64_t j = 0; j < kBlock; ++j) x[j] = d * static_cast<float>(signed_byte_at(block, 2 + j));
  });
}

// x = d levels[q]
void dequantize_iq4_nl(const std::byte* source, float* target, std::int64_t count) {
  for_each_block(source, target, count, 18, [](const std::byte* block, float* x) {
    const float d = f16_at(block, 0);
    for (std::int64_t j = 0; j < kHalf; ++j) {
      const unsigned packed = byte_at(block, 2 + j);
      x[j] = d * static_cast<float>(kNonLinearLevels[low_nibble(packed)]);
      x[j + kHalf] = d * static_cast<float>(kNonLinearLevels[high_nibble(packed)]);
    }
  });
}

void narrow_f32(const float* source, std::byte* target, std::int64_t count) {
  std::memcpy(target, source, static_cast<std::size_t>(count) * sizeof(float));
}

void narrow_f16(const float* source, std::byte* target, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint16_t bits = f32_to_f16(source[i]);
    std::memcpy(target + 2 * i, &bits, sizeof(bits));
  }
}

void narrow_bf16(const float* source, std::byte* target, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint16_t bits = f32_to_bf16(source[i]);
    std::memcpy(target + 2 * i, &bits, sizeof(bits));
  }
}

}  // namespace tessera::kernels::ref
