// The linear and dequantise entries of one ISA for plain types and 32-element blocks.
#pragma once
#include "kernels/cpu/isa/isa.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/peak.h"

namespace tessera::kernels::TESSERA_ISA {

template <typename Type>
TESSERA_INLINE void set_weight_type(KernelTable& table, DType dtype) {
  table.linear[static_cast<int>(dtype)] = linear<Type>;
  table.dequantize[static_cast<int>(dtype)] = dequantize<Type>;
}

// f32 rows are used where they lie; only the other types are widened first.
static void linear_f32(const LinearArguments& arguments) {
  if (arguments.tokens == 1) return single_token<PlainF32>(arguments);
  const std::int64_t stride = arguments.in_features;
  if (stride % kLanes != 0) return linear<PlainF32>(arguments);
  const auto* weights = reinterpret_cast<const float*>(arguments.weight);
  for (std::int64_t row = arguments.row_begin; row < arguments.row_end; row += kWidenedRows) {
    dot_panel(weights + row * stride, stride, smaller(kWidenedRows, arguments.row_end - row), arguments, row);
  }
}

void fill_linear(KernelTable& table) {
  set_weight_type<PlainF32>(table, DType::f32);
  table.linear[static_cast<int>(DType::f32)] = linear_f32;
  set_weight_type<PlainF16>(table, DType::f16);
  set_weight_type<PlainBf16>(table, DType::bf16);
  set_weight_type<BlockQ4_0>(table, DType::q4_0);
  set_weight_type<BlockQ4_1>(table, DType::q4_1);
  set_weight_type<BlockQ5_0>(table, DType::q5_0);
  set_weight_type<BlockQ5_1>(table, DType::q5_1);
  set_weight_type<BlockQ8_0>(table, DType::q8_0);
  set_weight_type<BlockIq4Nl>(table, DType::iq4_nl);
  table.read = read;
  table.multiply_add = multiply_add_rounds;
  table.flops_per_round = 2 * kChains * kLanes;
}

}  // namespace tessera::kernels::TESSERA_ISA
