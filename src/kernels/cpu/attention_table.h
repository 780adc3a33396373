// The attention entries of one ISA.
#pragma once
#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_store.h"
#include "kernels/cpu/isa/isa.h"

namespace tessera::kernels::TESSERA_ISA {

void fill_attention(KernelTable& table) {
  table.attention = attention;
  table.attention_partials = attention_partials;
  table.merge_attention = merge_attention;
  table.store_key[static_cast<int>(DType::f16)] = store_key_f16;
  table.store_value[static_cast<int>(DType::f16)] = store_value_f16;
  table.store_key[static_cast<int>(DType::q8_0)] = store_key_q8_0;
  table.store_value[static_cast<int>(DType::q8_0)] = store_value_q8_0;
}

}  // namespace tessera::kernels::TESSERA_ISA
