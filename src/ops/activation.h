// Element-wise non-linearities and their gated forms.
#pragma once
#include <string_view>

#include "tensor/tensor.h"

namespace tessera::ops {

// silu: x·σ(x). gelu: x·Φ(x) with erf. gelu_tanh: the tanh approximation ("gelu_new", "gelu_pytorch_tanh").
enum class Activation { silu, gelu, gelu_tanh, relu };

// Hugging Face's hidden_act name; Error unsupported naming an unknown one.
Activation activation_from_name(std::string_view name);

// f32 of any shape.
Tensor activate(const Tensor& x, Activation activation);
// activation(gate) * up, both [T, F] f32 (SwiGLU, GeGLU: Shazeer 2020).
Tensor gated_activation(const Tensor& gate, const Tensor& up, Activation activation);
// The same for one tensor [T, 2F] that holds gate in its first half and up in its second (Phi-3).
Tensor gated_activation(const Tensor& gate_up, Activation activation);

}  // namespace tessera::ops
