// Sums, scales and caps, element by element.
#pragma once
#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace tessera::ops {

Tensor add(const Tensor& a, const Tensor& b);   // same shape, f32
void add_in_place(Tensor& a, const Tensor& b);  // a += b
void scale_in_place(Tensor& x, float factor);   // x *= factor
void softcap_in_place(Tensor& x, float cap);    // x = cap * tanh(x / cap) (Gemma 2)

// Columns [begin, end) of x [T, C] as a tensor of its own [T, end - begin].
Tensor columns(const Tensor& x, std::int64_t begin, std::int64_t end);
// The rows of x [T, C] named by `indices`.
Tensor gather_rows(const Tensor& x, std::span<const std::int32_t> indices);

}  // namespace tessera::ops
