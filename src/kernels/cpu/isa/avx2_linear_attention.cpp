#if defined(__x86_64__)
#include "kernels/cpu/isa/avx2_vector.h"
//
#include "kernels/cpu/math.h"
//
#include "kernels/cpu/linear_attention_gradient.h"
#endif
