// The second half of a low-rank update of a linear layer (Hu et al. 2021): y = base(x) + (s x Aᵀ) Bᵀ, of
// which h = s x Aᵀ is an ordinary linear(); this adds h Bᵀ.
#pragma once
#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace tessera::ops {

// y [T, out] += h [R, r] bᵀ, b [out, r], all f32. rows[i] is the row of y that row i of h belongs to, each at
// most once; empty: row i is row i, and R = T. A row's bits depend on that row alone. Gradients flow to h and
// b, and on to what made y; with a tape, `rows` must be empty. Error internal on shapes that do not fit.
void add_low_rank(Tensor& y, const Tensor& h, const Tensor& b, std::span<const std::int32_t> rows = {});

}  // namespace tessera::ops
