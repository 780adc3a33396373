#include "formats/peft_adapter.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/safetensors.h"
#include "formats/safetensors_writer.h"

namespace tessera::formats {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kWeightsFile = "adapter_model.safetensors";
constexpr std::size_t kMostConfigBytes = 16 << 20;
constexpr std::int64_t kLargestRank = 1 << 16;
constexpr std::string_view kPrefix = "base_model.model.";

[[noreturn]] void unsupported(const std::string& path, const std::string& found) {
  fail(ErrorKind::unsupported, "{}: expected a plain LoRA adapter, found {}", path, found);
}

// What changes the model beyond W + s B A.
void reject_variants(const json& config, const std::string& path) {
  const json type = config.value("peft_type", json("LORA"));
  if (type != "LORA") unsupported(path, fmt::format("peft_type {}", printable(type.dump())));
  for (const char* key : {"use_dora", "lora_bias", "use_qalora", "use_bdlora"}) {
    if (config.value(key, json(false)) == true) unsupported(path, fmt::format("{}: true", key));
  }
  const json bias = config.value("bias", json("none"));
  if (bias != "none") unsupported(path, fmt::format("bias: {}", printable(bias.dump())));
  for (const char* key : {"modules_to_save", "trainable_token_indices", "layer_replication",
                          "alora_invocation_tokens", "target_parameters", "kasa_config", "velora_config"}) {
    const json value = config.value(key, json());
    if (!value.is_null() && !value.empty()) unsupported(path, fmt::format("{}", key));
  }
  const json start = config.value("init_lora_weights", json(true));
  for (const std::string_view changed : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
    if (start.is_string() && start.get<std::string>().starts_with(changed)) {
      unsupported(path, fmt::format("init_lora_weights: {}, which changes the base model too (convert the "
                                    "adapter to plain LoRA when saving it)",
                                    printable(start.dump())));
    }
  }
}

double number(const json& value, const std::string& path, const std::string& key, double least, double most) {
  if (!value.is_number() || !(value.get<double>() >= least && value.get<double>() <= most)) {
    fail(ErrorKind::bad_input, "{}: key '{}': expected a number from {} to {}, found {}", path,
         printable(key), least, most, printable(value.dump()));
  }
  return value.get<double>();
}

std::int64_t rank(const json& value, const std::string& path, const std::string& key) {
  if (!value.is_number_integer()) {
    fail(ErrorKind::bad_input, "{}: key '{}': expected a whole number, found {}", path, printable(key),
         printable(value.dump()));
  }
  return static_cast<std::int64_t>(number(value, path, key, 1, static_cast<double>(kLargestRank)));
}

bool flag(const json& config, const char* key, const std::string& path) {
  const json value = config.value(key, json(false));
  if (!value.is_boolean()) {
    fail(ErrorKind::bad_input, "{}: key '{}': expected true or false, found {}", path, key,
         printable(value.dump()));
  }
  return value.get<bool>();
}

// rank_pattern or alpha_pattern: a value of its own for modules of these names. PEFT takes regular
// expressions; what names are made of is enough.
std::map<std::string, json> pattern(const json& config, const char* key, const std::string& path) {
  const json value = config.value(key, json());
  std::map<std::string, json> entries;
  if (value.is_null()) return entries;
  if (!value.is_object()) fail(ErrorKind::bad_input, "{}: key '{}': expected an object", path, key);
  for (const auto& [name, number] : value.items()) {
    const std::string_view plain = name.starts_with('^') ? std::string_view(name).substr(1) : name;
    if (plain.find_first_of("^$*+?()[]{}|\\") != plain.npos) {
      unsupported(path, fmt::format("{} by the regular expression '{}'", key, printable(name)));
    }
    entries.emplace(name, number);
  }
  return entries;
}

// As PEFT finds it: "q_proj" is any module whose name ends so, "^model..." the whole name.
const json* find_pattern(const std::map<std::string, json>& entries, std::string_view module) {
  for (const auto& [name, value] : entries) {
    if (name.starts_with('^') ? module == std::string_view(name).substr(1)
                              : module == name || module.ends_with("." + name)) {
      return &value;
    }
  }
  return nullptr;
}

struct ConfigFile {
  std::string path;
  PeftConfig values;
  std::map<std::string, json> rank_pattern;
  std::map<std::string, json> alpha_pattern;

  double scale_of(const LoraModule& module) const {
    const std::int64_t found = module.a.dim(0);
    const json* own_rank = find_pattern(rank_pattern, module.module);
    const std::int64_t expected = own_rank != nullptr ? rank(*own_rank, path, "rank_pattern") : values.r;
    if (found != expected) {
      fail(ErrorKind::bad_input, "{}: module '{}': expected rank {}, found A {}", path,
           printable(module.module), expected, module.a.shape().to_string());
    }
    const json* own_alpha = find_pattern(alpha_pattern, module.module);
    const double alpha =
        own_alpha != nullptr ? number(*own_alpha, path, "alpha_pattern", 0, 1e9) : values.lora_alpha;
    return alpha / (values.use_rslora ? std::sqrt(static_cast<double>(found)) : static_cast<double>(found));
  }
};

ConfigFile read_config(const std::string& path) {
  const json config = json::parse(read_file(path, kMostConfigBytes), nullptr, false);
  if (!config.is_object()) fail(ErrorKind::bad_input, "{}: expected a JSON object", path);
  reject_variants(config, path);
  ConfigFile file;
  file.path = path;
  if (!config.contains("r")) fail(ErrorKind::bad_input, "{}: key 'r': expected the rank, found none", path);
  file.values.r = rank(config["r"], path, "r");
  file.values.lora_alpha = number(config.value("lora_alpha", json(8)), path, "lora_alpha", 0, 1e9);
  file.values.lora_dropout = number(config.value("lora_dropout", json(0)), path, "lora_dropout", 0, 1);
  file.values.use_rslora = flag(config, "use_rslora", path);
  file.values.fan_in_fan_out = flag(config, "fan_in_fan_out", path);
  const json targets = config.value("target_modules", json());
  for (const json& target : targets.is_array() ? targets : json::array({targets})) {
    if (target.is_string()) file.values.target_modules.push_back(target.get<std::string>());
  }
  const json base = config.value("base_model_name_or_path", json());
  if (base.is_string()) file.values.base_model_name_or_path = base.get<std::string>();
  file.rank_pattern = pattern(config, "rank_pattern", path);
  file.alpha_pattern = pattern(config, "alpha_pattern", path);
  return file;
}

// "base_model.model.M.lora_A.weight" to M and whether it is A. Error unsupported for any other name.
std::pair<std::string, bool> parse_name(const std::string& name, const std::string& path) {
  for (const bool is_a : {true, false}) {
    const std::string_view end = is_a ? ".lora_A.weight" : ".lora_B.weight";
    if (name.starts_with(kPrefix) && name.ends_with(end) && name.size() > kPrefix.size() + end.size()) {
      return {name.substr(kPrefix.size(), name.size() - kPrefix.size() - end.size()), is_a};
    }
  }
  unsupported(path, fmt::format("tensor '{}'", printable(name)));
}

std::vector<LoraModule> read_modules(const std::string& path) {
  const auto file = MappedFile::open(path);
  const SafetensorsHeader header = read_safetensors_header(*file);
  std::map<std::string, LoraModule> modules;
  for (const FoundTensor& tensor : header.tensors) {
    const TensorInfo& info = tensor.info;
    const auto [module, is_a] = parse_name(info.name, path);
    const bool plain = tensor.unsupported_type.empty() &&
                       (info.dtype == DType::f32 || info.dtype == DType::f16 || info.dtype == DType::bf16);
    if (!plain || info.shape.rank() != 2) {
      fail(ErrorKind::unsupported,
           "{}: tensor '{}' at byte {}: expected an F32, F16 or BF16 matrix, found {} {}", path,
           printable(info.name), info.offset,
           tensor.unsupported_type.empty() ? std::string(name(info.dtype)) : tensor.unsupported_type,
           info.shape.to_string());
    }
    // No promise of alignment: copied, for adapters weigh little.
    Tensor values = Tensor::empty(info.shape, info.dtype);
    if (info.bytes > 0) std::memcpy(values.mutable_raw(), file->bytes().data() + info.offset, info.bytes);
    LoraModule& entry = modules[module];
    entry.module = module;
    (is_a ? entry.a : entry.b) = values;
  }
  std::vector<LoraModule> found;
  for (auto& [name, module] : modules) {
    if (!module.a.defined() || !module.b.defined()) {
      fail(ErrorKind::bad_input, "{}: module '{}': expected lora_A and lora_B, found {} alone", path,
           printable(name), module.a.defined() ? "lora_A" : "lora_B");
    }
    found.push_back(std::move(module));
  }
  return found;
}

}  // namespace

bool is_peft_adapter(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(fs::path(path) / kConfigFile, ignored);
}

PeftAdapter read_peft_adapter(const std::string& folder) {
  const fs::path config_path = fs::path(folder) / kConfigFile;
  const fs::path weights_path = fs::path(folder) / kWeightsFile;
  for (const fs::path& path : {config_path, weights_path}) {
    std::error_code ignored;
    if (fs::is_regular_file(path, ignored)) continue;
    fail(ErrorKind::io, "{}: expected a LoRA adapter's folder with {} and {}, found no {}", folder,
         kConfigFile, kWeightsFile, path.filename().string());
  }
  const ConfigFile config = read_config(config_path.string());
  PeftAdapter result{config.values, {folder, read_modules(weights_path.string())}};
  for (LoraModule& module : result.adapter.modules) module.scale = config.scale_of(module);
  return result;
}

void write_peft_adapter(const std::string& folder, const PeftAdapter& adapter) {
  const PeftConfig& c = adapter.config;
  SafetensorsWriter weights;
  weights.set_metadata("format", "pt");
  for (const LoraModule& module : adapter.adapter.modules) {
    weights.add_tensor(fmt::format("{}{}.lora_A.weight", kPrefix, module.module), module.a);
    weights.add_tensor(fmt::format("{}{}.lora_B.weight", kPrefix, module.module), module.b);
  }
  weights.write((fs::path(folder) / kWeightsFile).string());
  nlohmann::ordered_json config{{"peft_type", "LORA"},
                                {"task_type", "CAUSAL_LM"},
                                {"base_model_name_or_path", c.base_model_name_or_path},
                                {"r", c.r},
                                {"lora_alpha", c.lora_alpha},
                                {"lora_dropout", c.lora_dropout},
                                {"use_rslora", c.use_rslora},
                                {"target_modules", c.target_modules},
                                {"fan_in_fan_out", c.fan_in_fan_out},
                                {"bias", "none"},
                                {"modules_to_save", nullptr},
                                {"init_lora_weights", true},
                                {"inference_mode", true}};
  write_file_atomically((fs::path(folder) / kConfigFile).string(), config.dump(2) + "\n");
}

}  // namespace tessera::formats
