// Shape and type checks of operations; a failure is a fault of the caller inside the program (Error
// internal).
#pragma once
#include <string_view>

#include "tensor/tensor.h"

namespace tessera::ops {

// `name` is the operation and argument, "linear: x".
void expect_f32(const Tensor& tensor, std::string_view name);
void expect_rank(const Tensor& tensor, int rank, std::string_view name);
void expect_dim(const Tensor& tensor, int dimension, std::int64_t size, std::string_view name);
void expect_shape(const Tensor& tensor, const Shape& shape, std::string_view name);

}  // namespace tessera::ops
