// LoRA adapters beside a loaded model: which files they come from, and what they are called.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model_loader.h"
#include "nn/lora.h"

namespace tessera::engine {

struct LoraFile {
  std::string name;
  std::string path;  // a folder in PEFT's layout
};

// "NAME=FOLDER", or "FOLDER", whose last part is the name (of a run's "latest" or "checkpoint-N", the run's).
// Error bad_usage: a name twice, or none; io, naming what is missing: no adapter's files in the folder.
std::vector<LoraFile> lora_files(std::span<const std::string> given);

// Reads the adapters and puts them beside the model, in this order. Error as formats/peft_adapter.h and
// models/lora.h; bad_usage: one has the model's name. Not while the model runs.
void load_lora_adapters(LoadedModel& loaded, std::span<const LoraFile> files);

// The adapter of this name; nullopt when there is none.
std::optional<nn::LoraId> find_lora(const LoadedModel& loaded, std::string_view name);

}  // namespace tessera::engine
