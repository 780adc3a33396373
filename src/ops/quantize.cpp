#include "ops/quantize.h"

#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"

namespace tessera::ops {
namespace {

constexpr float kLargestF16 = 65504.0F;

kernels::QuantizeKernel kernel_to(DType dtype) {
  return kernels::active().quantize[static_cast<std::size_t>(dtype)];
}

void check_values(std::span<const float> row, std::int64_t row_index, DType dtype, std::string_view subject) {
  const bool bounded = dtype != DType::f32 && dtype != DType::bf16;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (std::isfinite(row[i]) && (!bounded || std::abs(row[i]) <= kLargestF16)) continue;
    fail(ErrorKind::bad_input, "{}, row {}, column {}: expected a finite value{} to make {} of, found {}",
         subject, row_index, i, bounded ? " of at most 65504" : "", name(dtype), row[i]);
  }
}

}  // namespace

bool can_quantize_to(DType dtype) { return kernel_to(dtype) != nullptr; }

Tensor quantize(const Tensor& weight, DType dtype, std::string_view subject) {
  if (weight.dtype() == dtype) return weight;
  const auto round = kernel_to(dtype);
  const auto widen = kernels::active().dequantize[static_cast<std::size_t>(weight.dtype())];
  if (round == nullptr || widen == nullptr) {
    fail(ErrorKind::internal, "quantize: no kernel from {} to {}", name(weight.dtype()), name(dtype));
  }
  const std::int64_t columns = weight.rank() == 0 ? 1 : weight.dim(-1);
  const std::int64_t rows = columns == 0 ? 0 : weight.elements() / columns;
  const std::size_t source_bytes = row_bytes(weight.dtype(), columns);
  const std::size_t target_bytes = row_bytes(dtype, columns);
  Tensor result = Tensor::empty(weight.shape(), dtype);
  const std::byte* const source = rows == 0 ? nullptr : weight.raw();
  std::byte* const target = result.mutable_raw();
  thread_pool().parallel_for(rows, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>(columns));
    for (std::int64_t row = begin; row < end; ++row) {
      widen(source + static_cast<std::size_t>(row) * source_bytes, values.data(), columns);
      check_values(values, row, dtype, subject);
      round(values.data(), target + static_cast<std::size_t>(row) * target_bytes, columns);
    }
  });
  return result;
}

}  // namespace tessera::ops
