// Products of float32 matrices in any orientation: what the forward and backward of linear layers in training
// are made of.
#pragma once
#include <cstdint>

#include "tensor/tensor.h"

namespace tessera::ops {

// A matrix seen through strides (in elements); borrowed.
struct ConstMatrixView {
  const float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 1;

  ConstMatrixView transposed() const { return {data, columns, rows, column_stride, row_stride}; }
};
ConstMatrixView view(const Tensor& matrix);  // [rows, columns] f32

// In what products are multiplied; sums are always float32.
enum class MatmulPrecision : std::uint8_t { f32, bf16 };

// While one lives, matrix products of this thread are multiplied so (the default is f32).
class MatmulPrecisionScope {
 public:
  explicit MatmulPrecisionScope(MatmulPrecision precision);
  ~MatmulPrecisionScope();
  MatmulPrecisionScope(const MatmulPrecisionScope&) = delete;
  MatmulPrecisionScope& operator=(const MatmulPrecisionScope&) = delete;

 private:
  MatmulPrecision outer_;
};
MatmulPrecision matmul_precision();
// Whether this CPU multiplies bf16 faster than float32; elsewhere MatmulPrecision::bf16 is a slow definition.
bool has_fast_bf16();

// c [rows, columns] = a b, or c += a b. An element is one chain of multiply-adds over ascending k: the same
// bits on any number of threads. Error internal on shapes that do not fit.
void matrix_product(const ConstMatrixView& a, const ConstMatrixView& b, float* c, std::int64_t c_stride,
                    bool accumulate);

// total[j] += sum over the rows of x [rows, columns], in ascending order of rows.
void add_row_sums(const ConstMatrixView& x, float* total);

}  // namespace tessera::ops
