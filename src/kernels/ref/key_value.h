// The groups of the paged cache, element by element: the specification of tensor/key_value_layout.h.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tensor/key_value_layout.h"

namespace tessera::kernels::ref {

// Byte of element d of the key (value) at `place` of a group.
std::int64_t key_offset(DType dtype, std::int64_t head_dim, std::int64_t place, std::int64_t d);
std::int64_t value_offset(DType dtype, std::int64_t head_dim, std::int64_t place, std::int64_t d);
// Byte of the f16 scale of that element, q8_0.
std::int64_t scale_offset(std::int64_t place, std::int64_t d);

// Widened; exact but for q8_0's product, which is exact too (11 and 7 significant bits).
float load_key(DType dtype, std::int64_t head_dim, const std::byte* group, std::int64_t place,
               std::int64_t d);
float load_value(DType dtype, std::int64_t head_dim, const std::byte* group, std::int64_t place,
                 std::int64_t d);

}  // namespace tessera::kernels::ref
