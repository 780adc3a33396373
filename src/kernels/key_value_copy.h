// Copies of keys and values from group to group of the paged cache's layout (tensor/key_value_layout.h), for
// attention that wants those it sees side by side.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace tessera::kernels {

// Of one head: `count` tokens from place `from_place` of group `from` on, to the places from `to_place` of
// group `to` on. Neither may pass the end of its group.
void copy_keys(DType dtype, std::int64_t head_dim, const std::byte* from, std::int64_t from_place,
               std::byte* to, std::int64_t to_place, std::int64_t count);
void copy_values(DType dtype, std::int64_t head_dim, const std::byte* from, std::int64_t from_place,
                 std::byte* to, std::int64_t to_place, std::int64_t count);

}  // namespace tessera::kernels
