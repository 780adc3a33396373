#if defined(__aarch64__)
#include "kernels/cpu/isa/neon_vector.h"
//
#include "kernels/cpu/k_quants_table.h"
#endif
