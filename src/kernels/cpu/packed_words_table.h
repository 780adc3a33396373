// The entries of one ISA that multiplies 16-bit integers: packed f16 and bf16 weights as words, f32 as they
// are.
#pragma once
#include "kernels/cpu/isa/isa.h"
#include "kernels/cpu/packed_floats.h"
#include "kernels/cpu/word_linear.h"

namespace tessera::kernels::TESSERA_ISA {

template <typename Plain>
TESSERA_INLINE void set_words(PackedKernels& kernels) {
  kernels.input = InputForm::words;
  kernels.block_elements = kInputBlock;
  kernels.panel_block_bytes = kInputBlock * kPanelRows * Plain::kBytes;
  kernels.linear = word_linear<Plain>;
}

void fill_packed_floats(KernelTable& table) {
  table.packed[static_cast<int>(DType::f32)].linear = packed_floats<PlainF32>;
  set_words<PlainF16>(table.packed[static_cast<int>(DType::f16)]);
  set_words<PlainBf16>(table.packed[static_cast<int>(DType::bf16)]);
  table.quantize_input[static_cast<int>(InputForm::words)] = quantize_words;
}

}  // namespace tessera::kernels::TESSERA_ISA
