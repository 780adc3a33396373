#if defined(__aarch64__)
#include "kernels/cpu/isa/neon_vector.h"
//
#include "kernels/cpu/elementwise_table.h"
#endif
