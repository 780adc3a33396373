// The entries of one ISA for packed weights of 256-element super-blocks.
#pragma once
#include "kernels/cpu/isa/isa.h"
#include "kernels/cpu/packed_k_quants.h"

namespace tessera::kernels::TESSERA_ISA {

void fill_packed_k_quants(KernelTable& table) {
  table.packed[static_cast<int>(DType::q2_k)].linear = packed_linear<PackedQ2K>;
  table.packed[static_cast<int>(DType::q3_k)].linear = packed_linear<PackedQ3K>;
  table.packed[static_cast<int>(DType::q4_k)].linear = packed_linear<PackedQ4K>;
  table.packed[static_cast<int>(DType::q5_k)].linear = packed_linear<PackedQ5K>;
  table.packed[static_cast<int>(DType::q6_k)].linear = packed_linear<PackedQ6K>;
}

}  // namespace tessera::kernels::TESSERA_ISA
