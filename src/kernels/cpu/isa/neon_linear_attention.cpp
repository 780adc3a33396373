#if defined(__aarch64__)
#include "kernels/cpu/isa/neon_vector.h"
//
#include "kernels/cpu/math.h"
//
#include "kernels/cpu/linear_attention_gradient.h"
#endif
