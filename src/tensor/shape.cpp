#include "tensor/shape.h"

#include <algorithm>

#include "base/checked_size.h"
#include "base/error.h"

namespace tessera {

Shape::Shape(std::initializer_list<std::int64_t> dimensions)
    : Shape(std::span<const std::int64_t>(dimensions.begin(), dimensions.size())) {}

Shape::Shape(std::span<const std::int64_t> dimensions) {
  if (dimensions.size() > kMaximumRank) {
    fail(ErrorKind::bad_input, "shape: expected at most {} dimensions, found {}", kMaximumRank,
         dimensions.size());
  }
  CheckedSize product(1, "shape");
  for (const std::int64_t dimension : dimensions)
    product = product * CheckedSize::from_signed(dimension, "shape");
  (void)product.as_dimension();
  std::copy(dimensions.begin(), dimensions.end(), dimensions_.begin());
  rank_ = static_cast<int>(dimensions.size());
}

std::int64_t Shape::operator[](int index) const {
  const int actual = index < 0 ? index + rank_ : index;
  if (actual < 0 || actual >= rank_) {
    fail(ErrorKind::internal, "shape {}: no dimension {}", to_string(), index);
  }
  return dimensions_[static_cast<std::size_t>(actual)];
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t dimension : dimensions()) product *= dimension;
  return product;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) text += fmt::format("{}{}", i == 0 ? "" : ", ", (*this)[i]);
  return text + "]";
}

bool operator==(const Shape& a, const Shape& b) { return std::ranges::equal(a.dimensions(), b.dimensions()); }

}  // namespace tessera
