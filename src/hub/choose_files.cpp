#include "hub/choose_files.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/error.h"
#include "base/near_names.h"

namespace tessera::hub {
namespace {

// Small and good first: what people run, by size against quality; then whatever is nearest.
constexpr std::array kPreference = {"Q4_K_M", "Q4_K_S", "Q8_0", "Q4_1", "Q4_0", "IQ4_NL",
                                    "Q5_K_M", "Q5_K_S", "Q6_K", "Q5_1", "Q5_0", "Q3_K_M",
                                    "BF16",   "F16",    "FP16", "F32"};

std::string base_name(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

bool has_ending(const std::string& lower, std::string_view ending) { return lower.ends_with(ending); }

// One model in GGUF: a file, or all parts of a split one.
struct GgufModel {
  std::string quantization;  // from the name; may be empty
  std::string stem;          // lower case, no folder, no part number, no ending
  std::map<int, HubFile> parts;
  int expected_parts = 1;
};

std::map<std::string, GgufModel> gguf_models(const std::vector<HubFile>& files) {
  std::map<std::string, GgufModel> models;  // by path without part number
  for (const HubFile& file : files) {
    const std::string lower = to_lower_ascii(base_name(file.path));
    if (!has_ending(lower, ".gguf")) continue;
    if (lower.find("mmproj") != std::string::npos || lower.find("imatrix") != std::string::npos) continue;
    const auto split = split_name_of_file(file.path);
    const std::string key = split ? split->prefix : file.path.substr(0, file.path.size() - 5);
    GgufModel& model = models[key];
    model.stem = to_lower_ascii(base_name(key));
    model.quantization = quantization_of_file(base_name(key));
    if (model.quantization.empty())
      model.quantization = quantization_of_file(file.path.substr(0, file.path.rfind('/')));
    model.parts[split ? split->part : 1] = file;
    model.expected_parts = split ? split->parts : 1;
  }
  return models;
}

bool fits(const GgufModel& model, const std::string& wanted) {
  const std::string lower = to_lower_ascii(wanted);
  if (to_lower_ascii(model.quantization) == lower) return true;
  return model.stem.ends_with("-" + lower) || model.stem.ends_with("." + lower);  // "UD-Q4_K_XL"
}

std::string quantizations_text(const std::map<std::string, GgufModel>& models) {
  std::set<std::string> names;
  for (const auto& [key, model] : models)
    names.insert(model.quantization.empty() ? model.stem : model.quantization);
  return fmt::format("{}", fmt::join(names, ", "));
}

const GgufModel& preferred(const std::map<std::string, GgufModel>& models, const ModelReference& reference) {
  if (!reference.quantization.empty()) {
    // The exact word before one that only ends in it: "Q4_0" before "UD-Q4_0".
    const GgufModel* chosen = nullptr;
    for (const auto& [key, model] : models) {
      if (fits(model, reference.quantization) &&
          (chosen == nullptr || model.stem.size() < chosen->stem.size())) {
        chosen = &model;
      }
    }
    if (chosen != nullptr) return *chosen;
    fail(ErrorKind::bad_usage, "{}: no GGUF file of '{}'; there are {}", reference.text(),
         reference.quantization, quantizations_text(models));
  }
  for (const char* wanted : kPreference) {
    for (const auto& [key, model] : models) {
      if (model.quantization == wanted) return model;
    }
  }
  if (models.size() == 1) return models.begin()->second;
  fail(ErrorKind::bad_usage, "{}: expected a choice among its GGUF files, as hf:{}:QUANT; there are {}",
       reference.text(), reference.repository, quantizations_text(models));
}

ChosenFiles chosen_gguf(const GgufModel& model, const ModelReference& reference) {
  ChosenFiles chosen;
  for (int part = 1; part <= model.expected_parts; ++part) {
    const auto found = model.parts.find(part);
    if (found == model.parts.end()) {
      fail(ErrorKind::bad_input, "{}: part {} of {} of '{}' is missing in the repository", reference.text(),
           part, model.expected_parts, printable(model.stem));
    }
    chosen.files.push_back(found->second);
  }
  chosen.name = base_name(chosen.files.front().path);
  return chosen;
}

// Configuration, weights, tokenizer and templates at the top of the repository; nothing else is needed to run
// it.
bool belongs_to_folder(const std::string& path) {
  static const std::set<std::string> kNames = {"config.json",
                                               "generation_config.json",
                                               "tokenizer.json",
                                               "tokenizer_config.json",
                                               "vocab.json",
                                               "merges.txt",
                                               "special_tokens_map.json",
                                               "added_tokens.json",
                                               "vocab.txt",
                                               "tokenizer.model",
                                               "chat_template.jinja",
                                               "chat_template.json",
                                               "spiece.model"};
  if (path.find('/') != std::string::npos) return false;
  return kNames.contains(path) || path.ends_with(".safetensors") || path.ends_with(".safetensors.index.json");
}

ChosenFiles chosen_folder(const std::vector<HubFile>& files, const ModelReference& reference) {
  ChosenFiles chosen;
  chosen.is_folder = true;
  chosen.name = reference.repository.substr(reference.repository.find('/') + 1);
  bool has_model_file = false;  // the usual name; others beside it are copies in another layout
  for (const HubFile& file : files) {
    has_model_file =
        has_model_file || (file.path.starts_with("model") && file.path.ends_with(".safetensors"));
  }
  bool has_weights = false;
  bool has_config = false;
  for (const HubFile& file : files) {
    if (!belongs_to_folder(file.path)) continue;
    const bool is_weights = file.path.find(".safetensors") != std::string::npos;
    if (is_weights && has_model_file && !file.path.starts_with("model")) continue;
    has_weights = has_weights || is_weights;
    has_config = has_config || file.path == "config.json";
    chosen.files.push_back(file);
  }
  if (has_weights && has_config) return chosen;
  std::set<std::string> endings;
  for (const HubFile& file : files) {
    const std::size_t dot = base_name(file.path).rfind('.');
    if (dot != std::string::npos && dot > 0) endings.insert(printable(base_name(file.path).substr(dot), 20));
  }
  fail(ErrorKind::unsupported, "{}: expected GGUF files, or config.json with safetensors; found only {}",
       reference.text(),
       endings.empty() ? "nothing of a model" : fmt::format("{}", fmt::join(endings, ", ")));
}

}  // namespace

ChosenFiles choose_files(const std::vector<HubFile>& files, const ModelReference& reference) {
  const bool wants_folder = to_lower_ascii(reference.quantization) == "safetensors";
  if (!wants_folder) {
    const auto models = gguf_models(files);
    if (!models.empty()) return chosen_gguf(preferred(models, reference), reference);
    if (!reference.quantization.empty()) {
      fail(ErrorKind::bad_usage, "{}: no GGUF files in this repository; ask for hf:{} without ':{}'",
           reference.text(), reference.repository, reference.quantization);
    }
  }
  return chosen_folder(files, reference);
}

}  // namespace tessera::hub
