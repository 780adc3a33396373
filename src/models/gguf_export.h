// A Hugging Face model under GGUF's names and conventions: which keys its configuration becomes, which
// tensors, and what has to be done to their values (Llama's q and k in the order of interleaved pairs,
// Gemma's norms plus one, rope factors as tensors). The reverse of what ConfigReader and WeightLoader
// translate when they read GGUF.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tensor/weight_source.h"

namespace tessera::models {

struct GgufExport {
  struct Pair {
    std::string key;
    Metadata::Value value;
  };
  struct ExportedTensor {
    TensorInfo info;  // GGUF's name, the shape and dtype that load() gives; file and offset of the source
    std::function<Tensor()> load;  // keeps the source alive
  };
  std::string architecture;  // GGUF's
  std::int64_t vocab_size = 0;
  std::vector<Pair> pairs;
  std::vector<ExportedTensor> tensors;
};

// Checks the whole model first, by making it. Error unsupported: an architecture without counterpart here, or
// a configuration value that GGUF has no key for, by name; bad_input as create_model().
GgufExport export_to_gguf(const std::shared_ptr<const WeightSource>& source);

}  // namespace tessera::models
