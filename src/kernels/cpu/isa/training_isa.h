// What each ISA's translation units contribute to the training table, which starts as kernels/ref.
#pragma once
#include "kernels/training_table.h"

namespace tessera::kernels::avx2 {
void fill_training(TrainingTable& table);
}  // namespace tessera::kernels::avx2

namespace tessera::kernels::avx512 {
void fill_training(TrainingTable& table);
}  // namespace tessera::kernels::avx512

namespace tessera::kernels::avx512_bf16 {
void fill_training(TrainingTable& table);
}  // namespace tessera::kernels::avx512_bf16
