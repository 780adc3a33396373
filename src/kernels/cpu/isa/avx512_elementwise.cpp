#if defined(__x86_64__)
#include "kernels/cpu/isa/avx512_vector.h"
//
#include "kernels/cpu/elementwise_table.h"
#endif
