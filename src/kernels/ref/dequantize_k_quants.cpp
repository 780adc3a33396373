// The 256-element "K" super-blocks of GGUF: small integer scales (and minima) a sub-block, themselves scaled
// by one or two f16 a super-block. Layouts: ggml's block formats; rounding in the order written, as in
// ref/dequantize.cpp.
#include "kernels/ref/block_fields.h"
#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

constexpr std::int64_t kSuperBlock = 256;

struct ScaleAndMinimum {
  float scale;
  float minimum;
};

// Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit minima in 12 bytes: 0-3 hold the low scales, 4-7 the
// low minima; 8-11 hold the low nibbles of scales and minima 4-7, whose upper two bits fill the tops of 0-3
// and 4-7.
ScaleAndMinimum packed_scale(const std::byte* scales, std::int64_t index) {
  if (index < 4) {
    return {static_cast<float>(byte_at(scales, index) & 63U),
            static_cast<float>(byte_at(scales, index + 4) & 63U)};
  }
  const unsigned nibbles = byte_at(scales, index + 4);
  const unsigned scale = (nibbles & 15U) | ((byte_at(scales, index - 4) >> 6) << 4);
  const unsigned minimum = (nibbles >> 4) | ((byte_at(scales, index) >> 6) << 4);
  return {static_cast<float>(scale), static_cast<float>(minimum)};
}

// Q3_K packs sixteen 6-bit scales in 12 bytes: the low nibbles in 0-7, the upper two bits in 8-11. Stored
// plus 32.
int q3_k_scale(const std::byte* scales, std::int64_t index) {
  const unsigned low = index < 8 ? byte_at(scales, index) & 15U : byte_at(scales, index - 8) >> 4;
  const unsigned high = (byte_at(scales, 8 + index % 4) >> (2 * (index / 4))) & 3U;
  return static_cast<int>(low | (high << 4)) - 32;
}

}  // namespace

// scales[16] | qs[64] | d | dmin: 16 sub-blocks of 16; x = (d s) q - (dmin m), s and m the nibbles of
// scales[i]. Byte l of half h carries elements 128 h + 32 j + l in its bit pair j.
void dequantize_q2_k(const std::byte* source, float* target, std::int64_t count) {
  for (std::int64_t base = 0; base < count; base += kSuperBlock, source += 84) {
    const float d = f16_at(source, 80);
    const float dmin = f16_at(source, 82);
    for (std::int64_t i = 0; i < kSuperBlock; ++i) {
      const unsigned packed = byte_at(source, i / 16);
      const std::int64_t half = i / 128;
      const std::int64_t pair = i % 128 / 32;
      const unsigned q = (byte_at(source, 16 + 32 * half + i % 32) >> (2 * pair)) & 3U;
      const float scale = d * static_cast<float>(packed & 15U);
      const float minimum = dmin * static_cast<float>(packed >> 4);
      target[base + i] = scale * static_cast<float>(q) - minimum;
    }
  }
}

// hmask[32] | qs[64] | scales[12] | d: 16 sub-blocks of 16; x = (d s) (q - 4), q's third bit from hmask.
void dequantize_q3_k(const std::byte* source, float* target, std::int64_t count) {
  for (std::int64_t base = 0; base < count; base += kSuperBlock, source += 110) {
    const float d = f16_at(source, 108);
    for (std::int64_t i = 0; i < kSuperBlock; ++i) {
      const std::int64_t half = i / 128;
      const std::int64_t pair = i % 128 / 32;
      const unsigned low = (byte_at(source, 32 + 32 * half + i % 32) >> (2 * pair)) & 3U;
      const unsigned high = (byte_at(source, i % 32) >> (4 * half + pair)) & 1U;
      const float scale = d * static_cast<float>(q3_k_scale(source + 96, i / 16));
      target[base + i] = scale * static_cast<float>(static_cast<int>(low | (high << 2)) - 4);
    }
  }
}

// d | dmin | scales[12] | qs[128]: 8 sub-blocks of 32; x = (d s) q - (dmin m). Chunk c of 32 bytes carries
// sub-block 2c in its low nibbles and 2c + 1 in its high ones.
void dequantize_q4_k(const std::byte* source, float* target, std::int64_t count) {
  for (std::int64_t base = 0; base < count; base += kSuperBlock, source += 144) {
    const float d = f16_at(source, 0);
    const float dmin = f16_at(source, 2);
    for (std::int64_t i = 0; i < kSuperBlock; ++i) {
      const ScaleAndMinimum sub_block = packed_scale(source + 4, i / 32);
      const unsigned packed = byte_at(source, 16 + 32 * (i / 64) + i % 32);
      const unsigned q = i / 32 % 2 == 0 ? packed & 15U : packed >> 4;
      target[base + i] = (d * sub_block.scale) * static_cast<float>(q) - dmin * sub_block.minimum;
    }
  }
}

// d | dmin | scales[12] | qh[32] | qs[128]: as Q4_K, with bit i/32 of qh[i % 32] as the fifth bit.
void dequantize_q5_k(const std::byte* source, float* target, std::int64_t count) {
  for (std::int64_t base = 0; base < count; base += kSuperBlock, source += 176) {
    const float d = f16_at(source, 0);
    const float dmin = f16_at(source, 2);
    for (std::int64_t i = 0; i < kSuperBlock; ++i) {
      const ScaleAndMinimum sub_block = packed_scale(source + 4, i / 32);
      const unsigned packed = byte_at(source, 48 + 32 * (i / 64) + i % 32);
      const unsigned low = i / 32 % 2 == 0 ? packed & 15U : packed >> 4;
      const unsigned q = low | (((byte_at(source, 16 + i % 32) >> (i / 32)) & 1U) << 4);
      target[base + i] = (d * sub_block.scale) * static_cast<float>(q) - dmin * sub_block.minimum;
    }
  }
}

// ql[128] | qh[64] | scales[16] (signed) | d: 16 sub-blocks of 16; x = (d s) (q - 32). In half h, quarter j
// of 32: the low nibble (j < 2) or high nibble of ql[64 h + 32 (j % 2) + l], and bit pair j of qh[32 h + l].
void dequantize_q6_k(const std::byte* source, float* target, std::int64_t count) {
  for (std::int64_t base = 0; base < count; base += kSuperBlock, source += 210) {
    const float d = f16_at(source, 208);
    for (std::int64_t i = 0; i < kSuperBlock; ++i) {
      const std::int64_t half = i / 128;
      const std::int64_t quarter = i % 128 / 32;
      const unsigned packed = byte_at(source, 64 * half + 32 * (quarter % 2) + i % 32);
      const unsigned low = quarter < 2 ? packed & 15U : packed >> 4;
      const unsigned high = (byte_at(source, 128 + 32 * half + i % 32) >> (2 * quarter)) & 3U;
      const float scale = d * static_cast<float>(signed_byte_at(source, 192 + i / 16));
      target[base + i] = scale * static_cast<float>(static_cast<int>(low | (high << 4)) - 32);
    }
  }
}

}  // namespace tessera::kernels::ref
