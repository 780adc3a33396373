// The attention entry of one ISA.
#pragma once
#include "kernels/cpu/attention.h"
#include "kernels/cpu/isa/isa.h"

namespace tessera::kernels::TESSERA_ISA {

void fill_attention(KernelTable& table) { table.attention = attention; }

}  // namespace tessera::kernels::TESSERA_ISA
