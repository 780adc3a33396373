// Rounds float32 rows to the plain types and the 32-element blocks of GGUF, the way the format's other
// writers do (the Python package gguf among them): the same bits. One scale, or scale and minimum, a block,
// taken from its extremes; the quants are rounded with the float32 scale, and only then is the scale rounded
// to f16.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/float16.h"
#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

constexpr std::int64_t kBlock = 32;
constexpr std::int64_t kHalf = 16;

void put_f16(std::byte* target, float value) {
  const std::uint16_t bits = f32_to_f16(value);
  std::memcpy(target, &bits, sizeof(bits));
}

// 1 / d, and 0 where that is no number: f16 makes such a d zero anyway.
float inverse(float d) {
  const float result = d == 0.0F ? 0.0F : 1.0F / d;
  return std::isfinite(result) ? result : 0.0F;
}

// The element of largest magnitude with its sign; the first of equals.
float extreme(const float* x) {
  return *std::max_element(x, x + kBlock, [](float a, float b) { return std::abs(a) < std::abs(b); });
}

using Quants = std::array<unsigned, kBlock>;

// Byte j: the low four bits of element j below those of element j + 16.
void put_nibbles(const Quants& q, std::byte* target) {
  for (std::size_t j = 0; j < kHalf; ++j) {
    target[j] = static_cast<std::byte>((q[j] & 15U) | ((q[j + kHalf] & 15U) << 4));
  }
}

void put_fifth_bits(const Quants& q, std::byte* target) {
  std::uint32_t mask = 0;
  for (std::size_t j = 0; j < kBlock; ++j) mask |= (q[j] >> 4) << j;
  std::memcpy(target, &mask, sizeof(mask));
}

unsigned truncated(float value, unsigned highest) {
  return std::min(static_cast<unsigned>(std::max(value, 0.0F)), highest);
}

// x ≈ d (q - middle): the extreme lands on -middle, which has one level more than the other side.
float symmetric_quants(const float* x, unsigned middle, Quants& q) {
  const float d = extreme(x) / -static_cast<float>(middle);
  const float id = inverse(d);
  const float shift = static_cast<float>(middle) + 0.5F;
  for (std::size_t j = 0; j < kBlock; ++j) q[j] = truncated(x[j] * id + shift, 2 * middle - 1);
  return d;
}

struct ScaleAndMinimum {
  float scale;
  float minimum;
};

// x ≈ d q + m from the lowest to the highest element.
ScaleAndMinimum affine_quants(const float* x, unsigned highest, Quants& q) {
  const auto [low, high] = std::minmax_element(x, x + kBlock);
  const float d = (*high - *low) / static_cast<float>(highest);
  const float id = inverse(d);
  for (std::size_t j = 0; j < kBlock; ++j) q[j] = truncated((x[j] - *low) * id + 0.5F, highest);
  return {d, *low};
}

template <typename EncodeBlock>
void for_each_block(const float* source, std::byte* target, std::int64_t count, std::int64_t block_bytes,
                    EncodeBlock encode) {
  for (std::int64_t i = 0; i < count; i += kBlock, target += block_bytes) encode(source + i, target);
}

}  // namespace

void quantize_q4_0(const float* source, std::byte* target, std::int64_t count) {
  for_each_block(source, target, count, 18, [](const float* x, std::byte* block) {
    Quants q{};
    put_f16(block, symmetric_quants(x, 8, q));
    put_nibbles(q, block + 2);
  });
}

void quantize_q4_1(const float* source, std::byte* target, std::int64_t count) {
  for_each_block(source, target, count, 20, [](const float* x, std::byte* block) {
    Quants q{};
    const ScaleAndMinimum fit = affine_quants(x, 15, q);
    put_f16(block, fit.scale);
    put_f16(block + 2, fit.minimum);
    put_nibbles(q, block + 4);
  });
}

void quantize_q5_0(const float* source, std::byte* target, std::int64_t count) {
  for_each_block(source, target, count, 22, [](const float* x, std::byte* block) {
    Quants q{};
    put_f16(block, symmetric_quants(x, 16, q));
    put_fifth_bits(q, block + 2);
    put_nibbles(q, block + 6);
  });
}

void quantize_q5_1(const float* source, std::byte* target, std::int64_t count) {
  for_each_block(source, target, count, 24, [](const float* x, std::byte* block) {
    Quants q{};
    const ScaleAndMinimum fit = affine_quants(x, 31, q);
    put_f16(block, fit.scale);
    put_f16(block + 2, fit.minimum);
    put_fifth_bits(q, block + 4);
    put_nibbles(q, block + 8);
  });
}

// x ≈ d q with q from -127 to 127, halves rounded away from zero.
void quantize_q8_0(const float* source, std::byte* target, std::int64_t count) {
  for_each_block(source, target, count, 34, [](const float* x, std::byte* block) {
    const float d = std::abs(extreme(x)) / 127.0F;
    const float id = inverse(d);
    put_f16(block, d);
    for (std::int64_t j = 0; j < kBlock; ++j) {
      block[2 + j] = static_cast<std::byte>(static_cast<int>(std::round(x[j] * id)));
    }
  });
}

void fill_quantize(KernelTable& table) {
  const auto set = [&](DType dtype, QuantizeKernel kernel) {
    table.quantize[static_cast<std::size_t>(dtype)] = kernel;
  };
  set(DType::f32, narrow_f32);
  set(DType::f16, narrow_f16);
  set(DType::bf16, narrow_bf16);
  set(DType::q4_0, quantize_q4_0);
  set(DType::q4_1, quantize_q4_1);
  set(DType::q5_0, quantize_q5_0);
  set(DType::q5_1, quantize_q5_1);
  set(DType::q8_0, quantize_q8_0);
  set(DType::q4_k, quantize_q4_k);
  set(DType::q5_k, quantize_q5_k);
  set(DType::q6_k, quantize_q6_k);
}

}  // namespace tessera::kernels::ref
