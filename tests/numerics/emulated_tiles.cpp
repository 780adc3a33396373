// The tile kernels on emulated tiles; compiled for AVX-512, called only where the CPU has it.
#if defined(__x86_64__)
#include "numerics/emulated_tiles.h"
//
#include "kernels/cpu/tile_attention.h"
#include "kernels/cpu/tile_table.h"
#endif
