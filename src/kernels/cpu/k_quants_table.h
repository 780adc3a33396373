// The linear and dequantise entries of one ISA for the 256-element super-blocks.
#pragma once
#include "kernels/cpu/decode_k_quants.h"
#include "kernels/cpu/isa/isa.h"
#include "kernels/cpu/linear.h"

namespace tessera::kernels::TESSERA_ISA {

void fill_k_quants(KernelTable& table) {
  const auto set = [&](DType dtype, LinearKernel linear_kernel, DequantizeKernel dequantize_kernel) {
    table.linear[static_cast<int>(dtype)] = linear_kernel;
    table.dequantize[static_cast<int>(dtype)] = dequantize_kernel;
  };
  set(DType::q2_k, linear<BlockQ2K>, dequantize<BlockQ2K>);
  set(DType::q3_k, linear<BlockQ3K>, dequantize<BlockQ3K>);
  set(DType::q4_k, linear<BlockQ4K>, dequantize<BlockQ4K>);
  set(DType::q5_k, linear<BlockQ5K>, dequantize<BlockQ5K>);
  set(DType::q6_k, linear<BlockQ6K>, dequantize<BlockQ6K>);
}

}  // namespace tessera::kernels::TESSERA_ISA
