// A contiguous, row-major array of one element type; copying a Tensor shares its storage.
#pragma once
#include <memory>
#include <span>
#include <type_traits>

#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "tensor/storage.h"

namespace tessera {

class Tensor {
 public:
  Tensor() = default;  // no storage: defined() is false
  // Uninitialised memory of our own.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32);
  static Tensor from_values(const Shape& shape, std::span<const float> values);
  // A window of `storage`. Error bad_input when it does not fit, or rows are no multiple of the dtype's
  // block.
  static Tensor view(std::shared_ptr<Storage> storage, std::size_t byte_offset, const Shape& shape,
                     DType dtype);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int index) const { return shape_[index]; }
  int rank() const { return shape_.rank(); }
  DType dtype() const { return dtype_; }
  std::int64_t elements() const { return shape_.elements(); }
  std::size_t bytes() const { return bytes_; }
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  std::size_t byte_offset() const { return byte_offset_; }

  const std::byte* raw() const { return storage_->bytes().data() + byte_offset_; }
  std::byte* mutable_raw() { return storage_->mutable_bytes().data() + byte_offset_; }
  // Elements as T (float, std::uint16_t for f16/bf16, std::int32_t, ...). Error internal when the sizes
  // differ.
  template <typename T>
  std::span<const T> as() const {
    check_element_size(sizeof(T));
    return {reinterpret_cast<const T*>(raw()), static_cast<std::size_t>(elements())};
  }
  template <typename T>
  std::span<T> as_mutable() {
    check_element_size(sizeof(T));
    return {reinterpret_cast<T*>(mutable_raw()), static_cast<std::size_t>(elements())};
  }

  // Same elements, other dimensions. Error internal when the counts differ.
  Tensor reshape(const Shape& shape) const;
  // Rows [begin, end) of the outermost dimension, sharing storage.
  Tensor rows(std::int64_t begin, std::int64_t end) const;

 private:
  void check_element_size(std::size_t size) const;

  std::shared_ptr<Storage> storage_;
  std::size_t byte_offset_ = 0;
  std::size_t bytes_ = 0;
  Shape shape_;
  DType dtype_ = DType::f32;
};

// Bytes of a tensor of this shape and type; rows (the innermost dimension) must hold whole blocks.
std::size_t tensor_bytes(const Shape& shape, DType dtype);

}  // namespace tessera
