// What each ISA's translation units contribute: they replace entries of a table that starts as kernels/ref.
#pragma once
#include "kernels/kernel_table.h"

namespace tessera::kernels {

namespace avx2 {
void fill_linear(KernelTable& table);
void fill_packed(KernelTable& table);
void fill_packed_k_quants(KernelTable& table);
void fill_packed_floats(KernelTable& table);
void fill_k_quants(KernelTable& table);
void fill_elementwise(KernelTable& table);
void fill_attention(KernelTable& table);
}  // namespace avx2

namespace avx512 {
void fill_linear(KernelTable& table);
void fill_packed(KernelTable& table);
void fill_packed_k_quants(KernelTable& table);
void fill_packed_floats(KernelTable& table);
void fill_k_quants(KernelTable& table);
void fill_elementwise(KernelTable& table);
void fill_attention(KernelTable& table);
}  // namespace avx512

namespace amx {
void fill_packed(KernelTable& table);
void fill_attention(KernelTable& table);
}  // namespace amx

namespace neon {
void fill_linear(KernelTable& table);
void fill_packed(KernelTable& table);
void fill_packed_k_quants(KernelTable& table);
void fill_packed_floats(KernelTable& table);
void fill_k_quants(KernelTable& table);
void fill_elementwise(KernelTable& table);
void fill_attention(KernelTable& table);
}  // namespace neon

}  // namespace tessera::kernels
