// The entries of one ISA for packed weights of plain types.
#pragma once
#include "kernels/cpu/isa/isa.h"
#include "kernels/cpu/packed_floats.h"

namespace tessera::kernels::TESSERA_ISA {

void fill_packed_floats(KernelTable& table) {
  table.packed[static_cast<int>(DType::f32)].linear = packed_floats<PlainF32>;
  table.packed[static_cast<int>(DType::f16)].linear = packed_floats<PlainF16>;
  table.packed[static_cast<int>(DType::bf16)].linear = packed_floats<PlainBf16>;
}

}  // namespace tessera::kernels::TESSERA_ISA
