// Where models live on this machine, and how a MODEL argument (path, name, hf:USER/REPO) becomes a path.
#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/model_reference.h"

namespace tessera::hub {

// The file that set-up fetches.
inline constexpr std::string_view kDefaultModelFile = "SmolLM2-135M-Instruct.Q4_1.gguf";

// ${XDG_CACHE_HOME:-~/.cache}/tessera/models: plain files (or folders) under their own names.
std::filesystem::path models_directory();
// $HF_HUB_CACHE, else $HF_HOME/hub, else ${XDG_CACHE_HOME:-~/.cache}/huggingface/hub. Only read.
std::filesystem::path hugging_face_cache();

struct InstalledModel {
  std::string name;            // what -m takes
  std::filesystem::path path;  // the GGUF file (its first part when split) or the folder
  std::uint64_t bytes = 0;     // of all its files
  std::string format;          // "gguf" or "safetensors"
  std::string quantization;    // from the file name; empty when that does not tell
  std::string source;          // "hf:USER/REPO@REVISION" when known
  std::chrono::system_clock::time_point modified;
};

// The models directory first, then the Hugging Face cache; each sorted by name. Folders that are missing are
// empty.
std::vector<InstalledModel> list_models();

// MODEL → path. Taken in this order: an existing file; a folder with config.json, tokenizer.json or one GGUF
// file; a name in the models directory (exact, without ".gguf", or the beginning of exactly one, upper and
// lower case alike); USER/REPO or hf:USER/REPO[@REVISION][:QUANT] that is already here. Error io: nothing
// fits (names the nearest, and how to get one); bad_usage: several fit (names them).
std::string resolve_model(std::string_view name_or_path);

// A model of the hub that is already on this machine, pulled or in the Hugging Face cache.
std::optional<std::filesystem::path> find_pulled_model(const ModelReference& reference);

// kDefaultModelFile in the models directory. Error io that says how to get it.
std::string default_model();

}  // namespace tessera::hub
