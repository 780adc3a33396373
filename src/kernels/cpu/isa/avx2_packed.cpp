#if defined(__x86_64__)
#include "kernels/cpu/isa/avx2_integer.h"
//
#include "kernels/cpu/widened_linear.h"
//
#include "kernels/cpu/packed_table.h"
#endif
