// Dimensions of a tensor, outermost first (PyTorch order), at most kMaximumRank of them.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace tessera {

inline constexpr int kMaximumRank = 5;

class Shape {
 public:
  Shape() = default;
  // Error bad_input: a negative dimension, too many of them, or a product above 2^62.
  Shape(std::initializer_list<std::int64_t> dimensions);
  explicit Shape(std::span<const std::int64_t> dimensions);

  int rank() const { return rank_; }
  // Negative indices count from the end, as in Python. Error internal when out of range.
  std::int64_t operator[](int index) const;
  std::int64_t elements() const;
  std::span<const std::int64_t> dimensions() const {
    return {dimensions_.data(), static_cast<std::size_t>(rank_)};
  }
  std::string to_string() const;  // "[4, 8]"
  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<std::int64_t, kMaximumRank> dimensions_{};
  int rank_ = 0;
};

}  // namespace tessera
