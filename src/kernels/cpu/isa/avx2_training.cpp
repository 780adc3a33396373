#if defined(__x86_64__)
#include "kernels/cpu/isa/avx2_vector.h"
//
#include "kernels/cpu/training_table_entries.h"
#endif
