#if defined(__x86_64__)
#include "kernels/cpu/isa/avx512_vector.h"
//
#include "kernels/cpu/gemm_bf16.h"
#include "kernels/cpu/isa/training_isa.h"

namespace tessera::kernels::avx512_bf16 {

void fill_training(TrainingTable& table) { table.gemm[static_cast<int>(GemmPrecision::bf16)] = gemm; }

}  // namespace tessera::kernels::avx512_bf16
#endif
