#if defined(__aarch64__)
#include "kernels/cpu/isa/neon_vector.h"
//
#include "kernels/cpu/linear_table.h"
#endif
