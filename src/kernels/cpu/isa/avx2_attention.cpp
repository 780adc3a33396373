#if defined(__x86_64__)
#include "kernels/cpu/isa/avx2_attention_vector.h"
//
#include "kernels/cpu/attention_table.h"
#endif
