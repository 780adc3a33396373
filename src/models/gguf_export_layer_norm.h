// The architectures with LayerNorm, GPT-2 and the plain transformer, under GGUF's names: what
// models/gguf_export.h promises, for these two.
#pragma once
#include <memory>

#include "models/gguf_export.h"

namespace tessera::models {

// GGUF's gpt2. Biases that nanoGPT leaves out become zeros. Another activation than GGUF's tanh form of GELU
// is written under a key of our own, gpt2.activation_function.
GgufExport export_gpt2_to_gguf(const std::shared_ptr<const WeightSource>& source);

// An architecture of our own, plain_transformer; no other program knows it.
GgufExport export_plain_transformer_to_gguf(const std::shared_ptr<const WeightSource>& source);

}  // namespace tessera::models
