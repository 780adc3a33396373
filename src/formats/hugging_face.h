// Opens models in the layout of the Hugging Face hub: config.json and safetensors, whole or sharded with an
// index.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "base/mapped_file.h"
#include "tensor/weight_source.h"

namespace tessera::formats {

// config.json as flat keys: {"rope_scaling": {"factor": 8}} is "rope_scaling.factor", {"text_config": {...}}
// stays "text_config....". Arrays of one kind stay arrays; others are indexed ("layers.0.kind"). Numbers
// without a fraction are integers however they are written (1e6, 10000.0); an empty array is null. Error
// bad_input naming file, key and byte: no JSON object, a key twice, nesting or key length beyond reason.
Metadata read_hugging_face_config(const std::shared_ptr<const MappedFile>& file);

// The safetensors of `folder` (model.safetensors, or what model.safetensors.index.json lists) with its
// config.json. nullptr when the folder has no safetensors. Error io / bad_input.
std::shared_ptr<const WeightSource> open_hugging_face_folder(const std::string& folder);

// One .safetensors file with the config.json beside it.
std::shared_ptr<const WeightSource> open_safetensors_model(const std::string& path);

// The template a folder brings: chat_template.jinja, or "chat_template" of tokenizer_config.json (a text, or
// a list of {name, template} of which "default" counts). nullopt when there is none. Error bad_input.
std::optional<std::string> read_folder_chat_template(const std::string& folder);

}  // namespace tessera::formats
