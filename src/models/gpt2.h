// What GPT-2's files call their tensors, for reading them (gpt2.cpp) and for writing them as GGUF.
#pragma once
#include <string>

#include "models/weight_loader.h"
#include "tensor/weight_source.h"

namespace tessera::models {

// Most checkpoints name their tensors "transformer.h.0...", the first ones "h.0...": "transformer." or "".
std::string gpt2_prefix(const WeightSource& source);
Naming gpt2_naming(const std::string& prefix);

}  // namespace tessera::models
