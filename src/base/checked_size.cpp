#include "base/checked_size.h"

#include "base/error.h"

namespace tessera {

CheckedSize CheckedSize::from_signed(std::int64_t value, std::string_view what) {
  if (value < 0) fail(ErrorKind::bad_input, "{}: expected a count of at least 0, found {}", what, value);
  return CheckedSize(static_cast<std::uint64_t>(value), what);
}

CheckedSize CheckedSize::operator+(CheckedSize other) const {
  std::uint64_t result = 0;
  if (__builtin_add_overflow(value_, other.value_, &result)) {
    fail(ErrorKind::bad_input, "{}: {} + {} does not fit 64 bits", what_, value_, other.value_);
  }
  return CheckedSize(result, what_);
}

CheckedSize CheckedSize::operator*(CheckedSize other) const {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(value_, other.value_, &result)) {
    fail(ErrorKind::bad_input, "{}: {} x {} does not fit 64 bits", what_, value_, other.value_);
  }
  return CheckedSize(result, what_);
}

CheckedSize CheckedSize::operator-(CheckedSize other) const {
  if (other.value_ > value_) {
    fail(ErrorKind::bad_input, "{}: {} - {} is below zero", what_, value_, other.value_);
  }
  return CheckedSize(value_ - other.value_, what_);
}

CheckedSize CheckedSize::divided_exactly_by(std::uint64_t divisor) const {
  if (divisor == 0 || value_ % divisor != 0) {
    fail(ErrorKind::bad_input, "{}: expected a multiple of {}, found {}", what_, divisor, value_);
  }
  return CheckedSize(value_ / divisor, what_);
}

CheckedSize CheckedSize::aligned_to(std::uint64_t alignment) const {
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
    fail(ErrorKind::bad_input, "{}: expected a power of two as alignment, found {}", what_, alignment);
  }
  const CheckedSize raised = *this + (alignment - 1);
  return CheckedSize(raised.value_ & ~(alignment - 1), what_);
}

std::int64_t CheckedSize::as_dimension() const {
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 62;
  if (value_ > kLargest) fail(ErrorKind::bad_input, "{}: {} is above the largest size 2^62", what_, value_);
  return static_cast<std::int64_t>(value_);
}

}  // namespace tessera
