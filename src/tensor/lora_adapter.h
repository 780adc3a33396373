// A low-rank adapter (LoRA, Hu et al. 2021) as plain data, by Hugging Face's names of modules: what formats/
// reads and writes, and models/ puts beside its layers.
#pragma once
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace tessera {

// What one adapter adds to one linear layer: y = W x + scale · B A x.
struct LoraModule {
  std::string module;  // "model.layers.0.self_attn.q_proj"
  Tensor a;            // [r, in_features], f32, f16 or bf16
  Tensor b;            // [out_features, r]
  double scale = 0.0;  // alpha / r, or alpha / sqrt(r) with rsLoRA
};

struct LoraAdapter {
  std::string origin;  // the folder or file, for errors
  std::vector<LoraModule> modules;
};

}  // namespace tessera
