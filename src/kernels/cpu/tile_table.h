// The entries of a kernel table that tile registers take over. The types whose scales belong to 16 columns
// stay with AVX-512, as do f32 weights.
#pragma once
#include "kernels/cpu/isa/isa.h"
#include "kernels/cpu/tile_floats.h"

namespace tessera::kernels::TESSERA_TILES {

template <typename Type, DType kDType>
void fill_integers(KernelTable& table) {
  table.packed[static_cast<int>(kDType)].linear = tiled_integers<Type, kDType>;
}

// Tiles take the inputs as floats, where AVX-512 wants words.
template <typename Weights, DType kDType>
void fill_floats(KernelTable& table) {
  PackedKernels& kernels = table.packed[static_cast<int>(kDType)];
  kernels.input = InputForm::floats;
  kernels.block_elements = 1;
  kernels.panel_block_bytes = kPanelRows * Weights::kBytes;
  kernels.linear = tiled_floats<Weights>;
}

void fill_packed(KernelTable& table) {
  fill_integers<PackedQ4_0, DType::q4_0>(table);
  fill_integers<PackedQ4_1, DType::q4_1>(table);
  fill_integers<PackedQ5_0, DType::q5_0>(table);
  fill_integers<PackedQ5_1, DType::q5_1>(table);
  fill_integers<PackedQ8_0, DType::q8_0>(table);
  fill_integers<PackedIq4Nl, DType::iq4_nl>(table);
  fill_integers<PackedQ4K, DType::q4_k>(table);
  fill_integers<PackedQ5K, DType::q5_k>(table);
  fill_floats<TiledBf16, DType::bf16>(table);
  fill_floats<TiledF16, DType::f16>(table);
}

}  // namespace tessera::kernels::TESSERA_TILES
