#include "ops/check.h"

#include "base/error.h"

namespace tessera::ops {

void expect_f32(const Tensor& tensor, std::string_view name) {
  if (!tensor.defined()) fail(ErrorKind::internal, "{}: expected a tensor, found none", name);
  if (tensor.dtype() != DType::f32) {
    fail(ErrorKind::internal, "{}: expected F32, found {}", name, tessera::name(tensor.dtype()));
  }
}

void expect_rank(const Tensor& tensor, int rank, std::string_view name) {
  if (!tensor.defined()) fail(ErrorKind::internal, "{}: expected a tensor, found none", name);
  if (tensor.rank() != rank) {
    fail(ErrorKind::internal, "{}: expected {} dimensions, found {}", name, rank, tensor.shape().to_string());
  }
}

void expect_dim(const Tensor& tensor, int dimension, std::int64_t size, std::string_view name) {
  if (tensor.dim(dimension) != size) {
    fail(ErrorKind::internal, "{}: expected dimension {} to be {}, found {}", name, dimension, size,
         tensor.shape().to_string());
  }
}

void expect_shape(const Tensor& tensor, const Shape& shape, std::string_view name) {
  if (!(tensor.shape() == shape)) {
    fail(ErrorKind::internal, "{}: expected shape {}, found {}", name, shape.to_string(),
         tensor.shape().to_string());
  }
}

}  // namespace tessera::ops
