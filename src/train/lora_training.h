// A run that trains a low-rank adapter beside a frozen base instead of all weights: the base in the form in
// which it is read fastest, quantised ones as they are, and the adapter's A and B as the parameters.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/peft_adapter.h"
#include "models/lora.h"
#include "models/model.h"
#include "train/training_config.h"

namespace tessera::train {

// What the adapter of a run is called within its model.
inline constexpr nn::LoraId kTrainedLora = 0;

struct LoraRun {
  std::unique_ptr<models::Model> model;  // of parameters that nobody writes to
  formats::PeftConfig config;
  std::vector<models::Parameter> parameters;  // A and B of every target
};

// Opens config.model (a folder or GGUF file) and puts an adapter beside it: that of `checkpoint`, or a fresh
// one. Error bad_usage: no base, settings that make no sense, a checkpoint of other settings; otherwise as
// models/lora.h and formats/peft_adapter.h.
LoraRun open_lora_run(const TrainingConfig& config, const std::optional<std::string>& checkpoint);

// Writes adapter_model.safetensors and adapter_config.json into `folder`.
void write_lora(const std::string& folder, const LoraRun& run);

// As training_flops_per_token: a frozen weight has no gradient of its own, so 4 for each instead of 6.
double lora_flops_per_token(const models::Model& model, std::int64_t seq_len);

}  // namespace tessera::train
