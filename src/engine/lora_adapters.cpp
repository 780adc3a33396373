#include "engine/lora_adapters.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "engine/model_identity.h"
#include "formats/peft_adapter.h"
#include "models/lora.h"

namespace tessera::engine {
namespace {

namespace fs = std::filesystem;

std::string name_of(const std::string& path) {
  fs::path place = fs::path(path).lexically_normal();
  if (!place.has_filename()) place = place.parent_path();
  const std::string name = place.filename().string();
  const bool of_a_run = name == "latest" || name.starts_with("checkpoint-");
  return of_a_run && place.has_parent_path() ? place.parent_path().filename().string() : name;
}

LoraFile lora_file(const std::string& given) {
  const std::size_t equals = given.find('=');
  if (equals == given.npos || formats::is_peft_adapter(given)) return {name_of(given), given};
  return {given.substr(0, equals), given.substr(equals + 1)};
}

}  // namespace

std::vector<LoraFile> lora_files(std::span<const std::string> given) {
  std::vector<LoraFile> files;
  for (const std::string& text : given) {
    const LoraFile file = lora_file(text);
    if (file.name.empty() || file.path.empty()) {
      fail(ErrorKind::bad_usage, "--lora: expected NAME=FOLDER or FOLDER, found '{}'", printable(text));
    }
    if (std::ranges::find(files, file.name, &LoraFile::name) != files.end()) {
      fail(ErrorKind::bad_usage,
           "--lora: expected names of their own, found '{}' twice (NAME=FOLDER names one)",
           printable(file.name));
    }
    if (!formats::is_peft_adapter(file.path)) {
      fail(ErrorKind::io,
           "{}: expected a LoRA adapter's folder with adapter_config.json and adapter_model.safetensors, "
           "found "
           "none",
           file.path);
    }
    files.push_back(file);
  }
  return files;
}

void load_lora_adapters(LoadedModel& loaded, std::span<const LoraFile> files) {
  for (const LoraFile& file : files) {
    if (file.name == loaded.name || find_lora(loaded, file.name)) {
      fail(ErrorKind::bad_usage,
           "--lora: expected another name than the model's and its adapters', found '{}'",
           printable(file.name));
    }
    const formats::PeftAdapter adapter = formats::read_peft_adapter(file.path);
    models::add_lora(*loaded.model, static_cast<nn::LoraId>(loaded.adapters.size()), adapter.adapter);
    loaded.adapters.push_back({file.name, file.path, model_identity(file.path, "lora")});
  }
}

std::optional<nn::LoraId> find_lora(const LoadedModel& loaded, std::string_view name) {
  const auto found = std::ranges::find(loaded.adapters, name, &LoadedLora::name);
  if (found == loaded.adapters.end()) return std::nullopt;
  return static_cast<nn::LoraId>(found - loaded.adapters.begin());
}

}  // namespace tessera::engine
