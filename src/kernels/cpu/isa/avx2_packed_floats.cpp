#if defined(__x86_64__)
#include "kernels/cpu/isa/avx2_integer.h"
//
#include "kernels/cpu/packed_words_table.h"
#endif
