// The training entries of one ISA.
#pragma once
#include "kernels/cpu/flash_attention.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/isa/training_isa.h"
#include "kernels/cpu/sparse_attention.h"
#include "kernels/cpu/training.h"

namespace tessera::kernels::TESSERA_ISA {

template <typename Function>
void set_activation(TrainingTable& table, ActivationKind kind) {
  table.activation_gradient[static_cast<int>(kind)] = activation_gradient<Function>;
  table.gated_activation_gradient[static_cast<int>(kind)] = gated_activation_gradient<Function>;
}

void fill_training(TrainingTable& table) {
  table.gemm[static_cast<int>(GemmPrecision::f32)] = gemm;
  set_activation<SiluGradient>(table, ActivationKind::silu);
  set_activation<GeluGradient>(table, ActivationKind::gelu);
  set_activation<GeluTanhGradient>(table, ActivationKind::gelu_tanh);
  set_activation<ReluGradient>(table, ActivationKind::relu);
  table.rms_norm_gradient = rms_norm_gradient;
  table.layer_norm_gradient = layer_norm_gradient;
  table.softcap_gradient = softcap_gradient;
  table.cross_entropy = cross_entropy;
  table.flash_attention = flash_attention;
  table.flash_attention_gradient = flash_attention_gradient;
  table.sparse_attention = sparse_attention;
  table.sparse_attention_gradient = sparse_attention_gradient;
  table.adamw = adamw;
  table.sum_of_squares = sum_of_squares;
  table.add_to = add_to;
}

}  // namespace tessera::kernels::TESSERA_ISA
