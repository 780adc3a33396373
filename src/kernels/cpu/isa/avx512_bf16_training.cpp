#if defined(__x86_64__)
#include "kernels/cpu/isa/avx512_vector.h"
//
#include "kernels/cpu/flash_attention_bf16.h"
#include "kernels/cpu/gemm_bf16.h"
#include "kernels/cpu/isa/training_isa.h"

namespace tessera::kernels::avx512_bf16 {

void fill_training(TrainingTable& table) {
  table.gemm[static_cast<int>(GemmPrecision::bf16)] = gemm;
  table.panel_gemm_bf16 = {.panel_columns = kPanelColumns, .pack = pack_panels, .multiply = gemm_panels};
  table.flash_attention_bf16 = flash_attention;
  table.flash_attention_gradient_bf16 = flash_attention_gradient;
}

}  // namespace tessera::kernels::avx512_bf16
#endif
