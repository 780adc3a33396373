#include "kernels/key_value_copy.h"

#include <cstring>

#include "tensor/key_value_layout.h"

namespace tessera::kernels {
namespace {

// Where tokens lie in two groups.
struct Places {
  const std::byte* from;
  std::byte* to;
  std::int64_t from_place;
  std::int64_t to_place;
  std::int64_t count;
};

// Columns of `rows` rows of [kKeyGroup] elements of `bytes` each.
void copy_columns(const Places& p, std::int64_t rows, std::int64_t bytes) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t at = row * kKeyGroup * bytes;
    std::memcpy(p.to + at + p.to_place * bytes, p.from + at + p.from_place * bytes,
                static_cast<std::size_t>(p.count * bytes));
  }
}

// Scales lie first, [D / 32][kKeyGroup].
Places after_scales(DType dtype, std::int64_t head_dim, Places p) {
  const std::int64_t bytes = scale_bytes(dtype, head_dim);
  copy_columns(p, bytes / (2 * kKeyGroup), 2);
  p.from += bytes;
  p.to += bytes;
  return p;
}

bool is_whole_group(const Places& p) { return p.count == kKeyGroup; }

}  // namespace

void copy_keys(DType dtype, std::int64_t head_dim, const std::byte* from, std::int64_t from_place,
               std::byte* to, std::int64_t to_place, std::int64_t count) {
  const Places group{from, to, from_place, to_place, count};
  if (is_whole_group(group)) {
    std::memcpy(to, from, static_cast<std::size_t>(key_group_bytes(dtype, head_dim)));
    return;
  }
  const std::int64_t pack = key_pack(dtype);
  copy_columns(after_scales(dtype, head_dim, group), key_width(dtype, head_dim) / pack,
               pack * key_value_element_bytes(dtype));
}

void copy_values(DType dtype, std::int64_t head_dim, const std::byte* from, std::int64_t from_place,
                 std::byte* to, std::int64_t to_place, std::int64_t count) {
  Places p{from, to, from_place, to_place, count};
  if (is_whole_group(p)) {
    std::memcpy(to, from, static_cast<std::size_t>(value_group_bytes(dtype, head_dim)));
    return;
  }
  p = after_scales(dtype, head_dim, p);
  const std::int64_t bytes = key_value_element_bytes(dtype);
  const std::int64_t width = value_width(head_dim);
  if (value_pack(dtype) == 1) {
    std::memcpy(p.to + to_place * width * bytes, p.from + from_place * width * bytes,
                static_cast<std::size_t>(count * width * bytes));
    return;
  }
  const auto element = [&](std::int64_t place, std::int64_t d) {
    return ((place / 2 * width + d) * 2 + place % 2) * bytes;
  };
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < width; ++d) {
      std::memcpy(p.to + element(to_place + i, d), p.from + element(from_place + i, d),
                  static_cast<std::size_t>(bytes));
    }
  }
}

}  // namespace tessera::kernels
