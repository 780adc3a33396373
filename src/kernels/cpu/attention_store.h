// Rounds keys and values into the paged cache. Included by the translation units of one ISA after its vector
// header. The bits are those of kernels/ref/key_value.cpp.
#pragma once
#include "kernels/cpu/attention_state.h"

namespace tessera::kernels::TESSERA_ISA {

// Keys of f16: a row becomes a column, 16 elements at a time.
static void store_key_f16(const float* row, std::int64_t head_dim, std::byte* group, std::int64_t place) {
  alignas(64) std::uint16_t halves[kLanes];
  std::byte* target = group + 2 * place;
  for (std::int64_t d = 0; d < head_dim; d += kLanes) {
    const std::int64_t rest = head_dim - d;
    const Float v = rest >= kLanes ? load(row + d) : load_first(row + d, rest);
    store_f16(reinterpret_cast<std::byte*>(halves), v);
    for (std::int64_t i = 0; i < lesser(rest, kLanes); ++i, target += 2 * kKeyGroup) {
      __builtin_memcpy(target, &halves[i], 2);
    }
  }
}

static void store_value_f16(const float* row, std::int64_t head_dim, std::byte* group, std::int64_t place) {
  const std::int64_t width = value_width(head_dim);
  std::byte* target = group + 2 * place * width;
  for (std::int64_t d = 0; d < width; d += kLanes) {
    const std::int64_t rest = head_dim - d;
    store_f16(target + 2 * d, rest >= kLanes ? load(row + d) : load_first(row + d, larger(rest, 0)));
  }
}

// A row of q8_0: the scales of each 32 elements to `scales`, kKeyGroup of them apart, and the quants to
// `quants`, zeros up to `width`, a multiple of 16.
static void quantize_row(const float* row, std::int64_t head_dim, std::int64_t width, std::byte* scales,
                         std::byte* quants) {
  const auto element = [&](std::int64_t d) {
    const std::int64_t rest = head_dim - d;
    return rest >= kLanes ? load(row + d) : load_first(row + d, larger(rest, 0));
  };
  for (std::int64_t begin = 0; begin < width; begin += kKeyValueScaleElements) {
    const std::int64_t end = lesser(begin + kKeyValueScaleElements, width);
    Float top = zero();
    Float not_finite = zero();  // NaN where an element is infinite or NaN
    for (std::int64_t d = begin; d < end; d += kLanes) {
      top = maximum(top, absolute(element(d)));
      not_finite = multiply_add(element(d), zero(), not_finite);
    }
    const float largest = maximum_lane(top) / 127.0F;
    const float scale = largest < 65504.0F ? largest : 65504.0F;
    alignas(64) std::byte half[2 * kLanes];
    store_f16(half, broadcast(scale + sum_lanes(not_finite)));
    __builtin_memcpy(scales + begin / kKeyValueScaleElements * kKeyGroup * 2, half, 2);
    const float rounded = load_one_f16(half);
    const Float inverse = broadcast(rounded > 0 ? 1.0F / rounded : 0.0F);
    for (std::int64_t d = begin; d < end; d += kLanes) {
      Float quant = multiply(element(d), inverse);
      quant = maximum(broadcast(-127.0F), minimum(broadcast(127.0F), quant));
      store_bytes(quants + d, rounded > 0 ? to_int(quant) : broadcast_int(0));
    }
  }
}

static void store_value_q8_0(const float* row, std::int64_t head_dim, std::byte* group, std::int64_t place) {
  const std::int64_t width = value_width(head_dim);
  quantize_row(row, head_dim, width, group + 2 * place,
               group + scale_bytes(DType::q8_0, head_dim) + place * width);
}

static void store_key_q8_0(const float* row, std::int64_t head_dim, std::byte* group, std::int64_t place) {
  const std::int64_t width = value_width(head_dim);
  std::byte* quants = reinterpret_cast<std::byte*>(thread_scratch(width / 4));
  quantize_row(row, head_dim, width, group + 2 * place, quants);
  std::byte* target = group + scale_bytes(DType::q8_0, head_dim) + 4 * place;
  for (std::int64_t d = 0; d < head_dim; d += 4, target += 4 * kKeyGroup) {
    std::uint32_t quad = 0;
    __builtin_memcpy(&quad, quants + d, 4);
    quad ^= 0x80808080U;  // + 128
    __builtin_memcpy(target, &quad, 4);
  }
}

}  // namespace tessera::kernels::TESSERA_ISA
