#if defined(__x86_64__)
#include "kernels/cpu/isa/amx_tiles.h"
//
#include "kernels/cpu/tile_attention.h"
#endif
