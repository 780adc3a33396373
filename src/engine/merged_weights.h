// A model's weights with a LoRA adapter put into them: W + s B A, made when a tensor is loaded.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tensor/lora_adapter.h"
#include "tensor/weight_source.h"

namespace tessera::engine {

struct MergedModel {
  std::shared_ptr<const WeightSource> weights;
  // Names that the model asks for, of tensors stored under another one (tied weights): asked to stored.
  std::map<std::string, std::string> aliases;
};

// `source`, whatever its format, seen with the adapter's modules changed; they have `dtype`, or the one they
// are stored in, or F32 where that is quantised in blocks. Error as models::add_lora; unsupported: an adapter
// of an output head that is the embedding too.
MergedModel merge_lora(std::shared_ptr<const WeightSource> source, const LoraAdapter& adapter,
                       std::optional<DType> dtype = std::nullopt);

// Writes `folder`/model.safetensors and copies what else the model's folder holds: configuration, tokenizer,
// chat template. `advance(bytes)` after each tensor; may throw to stop. Error io, bad_usage: the folder is
// the model's own.
void write_merged_folder(const MergedModel& merged, const std::string& model_folder,
                         const std::string& folder, const std::function<void(std::size_t)>& advance = {});

}  // namespace tessera::engine
