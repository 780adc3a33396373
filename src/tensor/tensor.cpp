#include "tensor/tensor.h"

#include <algorithm>
#include <cstring>

#include "base/checked_size.h"
#include "base/error.h"

namespace tessera {

std::size_t tensor_bytes(const Shape& shape, DType dtype) {
  if (shape.rank() == 0) return row_bytes(dtype, 1);
  if (shape.elements() == 0) return 0;
  const std::int64_t columns = shape[-1];
  const CheckedSize rows(static_cast<std::uint64_t>(shape.elements() / columns), "tensor size");
  return (rows * row_bytes(dtype, columns)).value();
}

Tensor Tensor::empty(const Shape& shape, DType dtype) {
  return view(Storage::allocate(tensor_bytes(shape, dtype)), 0, shape, dtype);
}

Tensor Tensor::zeros(const Shape& shape, DType dtype) {
  Tensor result = empty(shape, dtype);
  if (result.bytes() > 0) std::memset(result.mutable_raw(), 0, result.bytes());
  return result;
}

Tensor Tensor::from_values(const Shape& shape, std::span<const float> values) {
  if (shape.elements() != static_cast<std::int64_t>(values.size())) {
    fail(ErrorKind::internal, "tensor: {} values for shape {}", values.size(), shape.to_string());
  }
  Tensor result = empty(shape, DType::f32);
  std::ranges::copy(values, result.as_mutable<float>().begin());
  return result;
}

Tensor Tensor::view(std::shared_ptr<Storage> storage, std::size_t byte_offset, const Shape& shape,
                    DType dtype) {
  const std::size_t bytes = tensor_bytes(shape, dtype);
  const std::size_t available = storage->bytes().size();
  if (byte_offset > available || bytes > available - byte_offset) {
    fail(ErrorKind::bad_input, "tensor {} {}: expected {} bytes at byte {}, found {} bytes in all",
         name(dtype), shape.to_string(), bytes, byte_offset, available);
  }
  Tensor result;
  result.storage_ = std::move(storage);
  result.byte_offset_ = byte_offset;
  result.bytes_ = bytes;
  result.shape_ = shape;
  result.dtype_ = dtype;
  return result;
}

Tensor Tensor::reshape(const Shape& shape) const {
  if (shape.elements() != elements()) {
    fail(ErrorKind::internal, "reshape: {} has other elements than {}", shape_.to_string(),
         shape.to_string());
  }
  return view(storage_, byte_offset_, shape, dtype_);
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  if (rank() == 0 || begin < 0 || end < begin || end > dim(0)) {
    fail(ErrorKind::internal, "rows [{}, {}) of {}", begin, end, shape_.to_string());
  }
  std::array<std::int64_t, kMaximumRank> dimensions{};
  std::ranges::copy(shape_.dimensions(), dimensions.begin());
  dimensions[0] = end - begin;
  const Shape shape(std::span<const std::int64_t>(dimensions.data(), static_cast<std::size_t>(rank())));
  const std::size_t bytes_per_row = dim(0) == 0 ? 0 : bytes_ / static_cast<std::size_t>(dim(0));
  return view(storage_, byte_offset_ + static_cast<std::size_t>(begin) * bytes_per_row, shape, dtype_);
}

void Tensor::check_element_size(std::size_t size) const {
  if (traits(dtype_).quantized || traits(dtype_).block_bytes != size) {
    fail(ErrorKind::internal, "tensor of {} read as elements of {} bytes", name(dtype_), size);
  }
}

}  // namespace tessera
