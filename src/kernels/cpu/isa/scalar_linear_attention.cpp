#include "kernels/cpu/isa/scalar_vector.h"
//
#include "kernels/cpu/linear_attention_gradient.h"
