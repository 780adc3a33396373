// Adapters in the layout of Hugging Face's PEFT: adapter_config.json and adapter_model.safetensors, whose
// keys are "base_model.model.<module>.lora_A.weight".
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/lora_adapter.h"

namespace tessera::formats {

struct PeftConfig {
  std::int64_t r = 8;
  double lora_alpha = 8.0;
  double lora_dropout = 0.0;
  bool use_rslora = false;
  bool fan_in_fan_out = false;  // the base keeps its matrices input-major (GPT-2); A and B are as ever
  std::vector<std::string> target_modules;
  std::string base_model_name_or_path;
};

struct PeftAdapter {
  PeftConfig config;
  LoraAdapter adapter;
};

// Whether `path` is a folder with an adapter_config.json.
bool is_peft_adapter(const std::string& path);

// Reads an adapter's folder; tensors are mapped. Each module's scale follows from the configuration
// (rank_pattern and alpha_pattern included) and its own rank. Error io: a file is missing; bad_input naming
// file and key: r < 1, A without B, a rank other than the configuration's; unsupported naming what there is
// besides plain LoRA (DoRA, biases, whole modules, embeddings, other PEFT types, a base that was changed).
PeftAdapter read_peft_adapter(const std::string& folder);

// Writes both files into `folder`, which must exist, so that PEFT loads them. Error io.
void write_peft_adapter(const std::string& folder, const PeftAdapter& adapter);

}  // namespace tessera::formats
