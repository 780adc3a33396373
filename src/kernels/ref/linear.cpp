// y = x Wᵀ + b: each weight row is widened to float32, then one dot product a token, summed in double.
#include <vector>

#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

template <DType kDType, DequantizeKernel kDequantize>
void linear(const LinearArguments& arguments) {
  const auto& type = traits(kDType);
  const std::size_t bytes_per_row =
      static_cast<std::size_t>(arguments.in_features / type.block_elements) * type.block_bytes;
  std::vector<float> row(static_cast<std::size_t>(arguments.in_features));
  for (std::int64_t n = arguments.row_begin; n < arguments.row_end; ++n) {
    kDequantize(arguments.weight + static_cast<std::size_t>(n) * bytes_per_row, row.data(),
                arguments.in_features);
    for (std::int64_t t = 0; t < arguments.tokens; ++t) {
      const float* x = arguments.input + t * arguments.input_stride;
      double sum = 0;
      for (std::size_t k = 0; k < row.size(); ++k) sum += double{x[k]} * double{row[k]};
      if (arguments.bias != nullptr) sum += double{arguments.bias[n]};
      arguments.output[t * arguments.output_stride + n] = static_cast<float>(sum);
    }
  }
}

}  // namespace

void fill_linear(KernelTable& table) {
  const auto set = [&](DType dtype, LinearKernel kernel) {
    table.linear[static_cast<std::size_t>(dtype)] = kernel;
  };
  set(DType::f32, linear<DType::f32, dequantize_f32>);
  set(DType::f16, linear<DType::f16, dequantize_f16>);
  set(DType::bf16, linear<DType::bf16, dequantize_bf16>);
  set(DType::q4_0, linear<DType::q4_0, dequantize_q4_0>);
  set(DType::q4_1, linear<DType::q4_1, dequantize_q4_1>);
  set(DType::q5_0, linear<DType::q5_0, dequantize_q5_0>);
  set(DType::q5_1, linear<DType::q5_1, dequantize_q5_1>);
  set(DType::q8_0, linear<DType::q8_0, dequantize_q8_0>);
  set(DType::q2_k, linear<DType::q2_k, dequantize_q2_k>);
  set(DType::q3_k, linear<DType::q3_k, dequantize_q3_k>);
  set(DType::q4_k, linear<DType::q4_k, dequantize_q4_k>);
  set(DType::q5_k, linear<DType::q5_k, dequantize_q5_k>);
  set(DType::q6_k, linear<DType::q6_k, dequantize_q6_k>);
  set(DType::iq4_nl, linear<DType::iq4_nl, dequantize_iq4_nl>);
}

}  // namespace tessera::kernels::ref
