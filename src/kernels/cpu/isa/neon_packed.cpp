#if defined(__aarch64__)
#include "kernels/cpu/isa/neon_integer.h"
//
#include "kernels/cpu/packed_table.h"
#endif
