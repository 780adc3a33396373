// What the plain transformer's files call their tensors, for reading them (plain_transformer.cpp) and for
// writing them as GGUF. Where GGUF's other architectures have the same module, its name there is theirs.
#pragma once
#include "models/weight_loader.h"

namespace tessera::models {

Naming plain_transformer_naming();

}  // namespace tessera::models
