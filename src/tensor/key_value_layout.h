// How the paged cache lays out the keys and the values of one head: the order in which attention kernels read
// them, so that nothing is repacked. Pictures: docs/attention/paged.md.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace tessera {

// Tokens that are stored together. A block of the cache is whole groups; attention computes the scores of the
// keys of a group side by side, one a vector lane.
inline constexpr std::int64_t kKeyGroup = 16;
// Elements along head_dim that share a scale in a q8_0 cache.
inline constexpr std::int64_t kKeyValueScaleElements = 32;

// Keys: [D / n][kKeyGroup][n] elements, n = elements that make up 32 bits in a type that has products of such
// packs (bf16: 2, q8_0: 4), else 1. Values: [kKeyGroup / n][W][n], W = D rounded up to 16, n = 2 for bf16,
// else
// 1. What pads D is zero. q8_0 puts the f16 scales of the group first, [D / 32 rounded up][kKeyGroup]; its
// keys are stored as quant + 128.
constexpr std::int64_t key_pack(DType dtype) {
  if (dtype == DType::bf16) return 2;
  return dtype == DType::q8_0 ? 4 : 1;
}
constexpr std::int64_t value_pack(DType dtype) { return dtype == DType::bf16 ? 2 : 1; }

// D as keys and as values store it.
constexpr std::int64_t key_width(DType dtype, std::int64_t head_dim) {
  return (head_dim + key_pack(dtype) - 1) / key_pack(dtype) * key_pack(dtype);
}
constexpr std::int64_t value_width(std::int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

constexpr bool is_key_value_type(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::q8_0;
}
constexpr std::int64_t key_value_element_bytes(DType dtype) {
  if (dtype == DType::f32) return 4;
  return dtype == DType::q8_0 ? 1 : 2;
}
// Of the scales that a group begins with.
constexpr std::int64_t scale_bytes(DType dtype, std::int64_t head_dim) {
  if (dtype != DType::q8_0) return 0;
  return (head_dim + kKeyValueScaleElements - 1) / kKeyValueScaleElements * kKeyGroup * 2;
}

// Bytes of the keys, or the values, of kKeyGroup tokens of one head. For head_dim up to 2^32.
constexpr std::int64_t key_group_bytes(DType dtype, std::int64_t head_dim) {
  return scale_bytes(dtype, head_dim) +
         kKeyGroup * key_width(dtype, head_dim) * key_value_element_bytes(dtype);
}
constexpr std::int64_t value_group_bytes(DType dtype, std::int64_t head_dim) {
  return scale_bytes(dtype, head_dim) + kKeyGroup * value_width(head_dim) * key_value_element_bytes(dtype);
}

}  // namespace tessera
