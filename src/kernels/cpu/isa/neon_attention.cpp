#if defined(__aarch64__)
#include "kernels/cpu/isa/neon_attention_vector.h"
//
#include "kernels/cpu/attention_table.h"
#endif
