// The entries of one ISA for packed weights of 32-element blocks, and for quantising inputs.
#pragma once
#include "kernels/cpu/byte_peak.h"
#include "kernels/cpu/isa/isa.h"
#include "kernels/cpu/packed_linear.h"

namespace tessera::kernels::TESSERA_ISA {

void fill_packed(KernelTable& table) {
  table.packed[static_cast<int>(DType::q4_0)].linear = packed_linear<PackedQ4_0>;
  table.packed[static_cast<int>(DType::q4_1)].linear = packed_linear<PackedQ4_1>;
  table.packed[static_cast<int>(DType::q5_0)].linear = packed_linear<PackedQ5_0>;
  table.packed[static_cast<int>(DType::q5_1)].linear = packed_linear<PackedQ5_1>;
  table.packed[static_cast<int>(DType::q8_0)].linear = packed_linear<PackedQ8_0>;
  table.packed[static_cast<int>(DType::iq4_nl)].linear = packed_linear<PackedIq4Nl>;
  table.quantize_input[static_cast<int>(InputForm::sums_of_32)] = quantize_input<InputForm::sums_of_32>;
  table.quantize_input[static_cast<int>(InputForm::sums_of_16)] = quantize_input<InputForm::sums_of_16>;
  table.multiply_bytes = multiply_bytes_rounds;
  table.byte_ops_per_round = kByteOpsPerRound;
}

}  // namespace tessera::kernels::TESSERA_ISA
