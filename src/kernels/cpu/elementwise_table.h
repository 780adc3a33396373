// The norms, activations and other element-wise entries of one ISA.
#pragma once
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/isa/isa.h"
#include "kernels/cpu/normal_distribution.h"

namespace tessera::kernels::TESSERA_ISA {

void fill_elementwise(KernelTable& table) {
  const auto set = [&](ActivationKind kind, ActivationKernel plain, GatedActivationKernel gate) {
    table.activate[static_cast<int>(kind)] = plain;
    table.gated_activation[static_cast<int>(kind)] = gate;
  };
  set(ActivationKind::silu, activate<Silu>, gated<Silu>);
  set(ActivationKind::gelu, activate<Gelu>, gated<Gelu>);
  set(ActivationKind::gelu_tanh, activate<GeluTanh>, gated<GeluTanh>);
  set(ActivationKind::relu, activate<Relu>, gated<Relu>);
  table.narrow[static_cast<int>(DType::f16)] = narrow_f16;
  table.narrow[static_cast<int>(DType::bf16)] = narrow_bf16;
  table.rms_norm = rms_norm;
  table.layer_norm = layer_norm;
  table.rotary_half = rotary_half;
  table.rotary_interleaved = rotary_interleaved;
  table.add = add_rows;
  table.scale = scale;
  table.softcap = softcap;
  table.softmax = softmax;
}

}  // namespace tessera::kernels::TESSERA_ISA
