// A size in bytes or elements that came from a file or a request: arithmetic that would wrap is an Error.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tessera {

class CheckedSize {
 public:
  // `what` names the quantity in the error line and must outlive the value (a literal does).
  constexpr explicit CheckedSize(std::uint64_t value, std::string_view what = "size")
      : value_(value), what_(what) {}
  static CheckedSize from_signed(std::int64_t value, std::string_view what = "size");

  CheckedSize operator+(CheckedSize other) const;
  CheckedSize operator*(CheckedSize other) const;
  CheckedSize operator-(CheckedSize other) const;
  CheckedSize operator+(std::uint64_t other) const { return *this + CheckedSize(other); }
  CheckedSize operator*(std::uint64_t other) const { return *this * CheckedSize(other); }
  CheckedSize operator-(std::uint64_t other) const { return *this - CheckedSize(other); }
  // Exact division: an Error when a remainder is left.
  CheckedSize divided_exactly_by(std::uint64_t divisor) const;
  // Rounded up to a multiple of a power of two.
  CheckedSize aligned_to(std::uint64_t alignment) const;

  constexpr std::uint64_t value() const { return value_; }
  // As int64_t, the type of dimensions; an Error above 2^62.
  std::int64_t as_dimension() const;

 private:
  std::uint64_t value_;
  std::string_view what_;
};

}  // namespace tessera
