#include "kernels/ref/key_value.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/float16.h"
#include "kernels/ref/block_fields.h"
#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

// What is added to the quants of keys, for products of unsigned with signed bytes.
constexpr int kKeyOffset = 128;
constexpr float kLargestQuant = 127.0F;
constexpr float kLargestF16 = 65504.0F;

void put_u16(std::byte* target, std::uint16_t bits) { std::memcpy(target, &bits, sizeof(bits)); }

void put(DType dtype, float value, std::byte* target) {
  if (dtype == DType::f16) return put_u16(target, f32_to_f16(value));
  if (dtype == DType::bf16) return put_u16(target, f32_to_bf16(value));
  std::memcpy(target, &value, sizeof(value));
}

float get(DType dtype, const std::byte* source) {
  std::uint16_t half = 0;
  if (dtype != DType::f32) std::memcpy(&half, source, sizeof(half));
  if (dtype == DType::f16) return f16_to_f32(half);
  if (dtype == DType::bf16) return bf16_to_f32(half);
  float value = 0;
  std::memcpy(&value, source, sizeof(value));
  return value;
}

// The scale of up to 32 elements, as f16. NaN where an element is not finite, so that the result shows it.
std::uint16_t scale_of(const float* x, std::int64_t count) {
  float largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(x[i])) return f32_to_f16(NAN);
    largest = std::max(largest, std::abs(x[i]));
  }
  return f32_to_f16(std::min(largest / kLargestQuant, kLargestF16));
}

int quant_of(float x, float inverse) {
  return static_cast<int>(std::nearbyint(std::clamp(x * inverse, -kLargestQuant, kLargestQuant)));
}

// Calls put_quant(d, quant) for every element and zeros to `width`.
template <typename PutQuant>
void quantize(const float* row, std::int64_t head_dim, std::int64_t width, std::byte* group,
              std::int64_t place, PutQuant put_quant) {
  for (std::int64_t begin = 0; begin < head_dim; begin += kKeyValueScaleElements) {
    const std::int64_t count = std::min(kKeyValueScaleElements, head_dim - begin);
    const std::uint16_t scale = scale_of(row + begin, count);
    put_u16(group + scale_offset(place, begin), scale);
    const float d = f16_to_f32(scale);
    const float inverse = d > 0 ? 1.0F / d : 0.0F;  // NaN: zeros under a NaN scale
    for (std::int64_t i = 0; i < count; ++i) {
      put_quant(begin + i, inverse > 0 ? quant_of(row[begin + i], inverse) : 0);
    }
  }
  for (std::int64_t d = head_dim; d < width; ++d) put_quant(d, 0);
}

template <DType kType>
void store_key(const float* row, std::int64_t head_dim, std::byte* group, std::int64_t place) {
  const std::int64_t width = key_width(kType, head_dim);
  if constexpr (kType == DType::q8_0) {
    quantize(row, head_dim, width, group, place, [&](std::int64_t d, int quant) {
      group[key_offset(kType, head_dim, place, d)] = static_cast<std::byte>(quant + kKeyOffset);
    });
  } else {
    for (std::int64_t d = 0; d < width; ++d) {
      put(kType, d < head_dim ? row[d] : 0.0F, group + key_offset(kType, head_dim, place, d));
    }
  }
}

template <DType kType>
void store_value(const float* row, std::int64_t head_dim, std::byte* group, std::int64_t place) {
  const std::int64_t width = value_width(head_dim);
  if constexpr (kType == DType::q8_0) {
    quantize(row, head_dim, width, group, place, [&](std::int64_t d, int quant) {
      group[value_offset(kType, head_dim, place, d)] = static_cast<std::byte>(quant);
    });
  } else {
    for (std::int64_t d = 0; d < width; ++d) {
      put(kType, d < head_dim ? row[d] : 0.0F, group + value_offset(kType, head_dim, place, d));
    }
  }
}

}  // namespace

std::int64_t key_offset(DType dtype, std::int64_t head_dim, std::int64_t place, std::int64_t d) {
  const std::int64_t pack = key_pack(dtype);
  const std::int64_t element = (d / pack * kKeyGroup + place) * pack + d % pack;
  return scale_bytes(dtype, head_dim) + element * key_value_element_bytes(dtype);
}

std::int64_t value_offset(DType dtype, std::int64_t head_dim, std::int64_t place, std::int64_t d) {
  const std::int64_t pack = value_pack(dtype);
  const std::int64_t element = (place / pack * value_width(head_dim) + d) * pack + place % pack;
  return scale_bytes(dtype, head_dim) + element * key_value_element_bytes(dtype);
}

std::int64_t scale_offset(std::int64_t place, std::int64_t d) {
  return (d / kKeyValueScaleElements * kKeyGroup + place) * 2;
}

float load_key(DType dtype, std::int64_t head_dim, const std::byte* group, std::int64_t place,
               std::int64_t d) {
  const std::int64_t offset = key_offset(dtype, head_dim, place, d);
  if (dtype != DType::q8_0) return get(dtype, group + offset);
  const int quant = static_cast<int>(byte_at(group, offset)) - kKeyOffset;
  return f16_at(group, scale_offset(place, d)) * static_cast<float>(quant);
}

float load_value(DType dtype, std::int64_t head_dim, const std::byte* group, std::int64_t place,
                 std::int64_t d) {
  const std::int64_t offset = value_offset(dtype, head_dim, place, d);
  if (dtype != DType::q8_0) return get(dtype, group + offset);
  return f16_at(group, scale_offset(place, d)) * static_cast<float>(signed_byte_at(group, offset));
}

void fill_key_values(KernelTable& table) {
  const auto set = [&](DType dtype, StoreKeyValueKernel key, StoreKeyValueKernel value) {
    table.store_key[static_cast<std::size_t>(dtype)] = key;
    table.store_value[static_cast<std::size_t>(dtype)] = value;
  };
  set(DType::f32, store_key<DType::f32>, store_value<DType::f32>);
  set(DType::f16, store_key<DType::f16>, store_value<DType::f16>);
  set(DType::bf16, store_key<DType::bf16>, store_value<DType::bf16>);
  set(DType::q8_0, store_key<DType::q8_0>, store_value<DType::q8_0>);
}

}  // namespace tessera::kernels::ref
