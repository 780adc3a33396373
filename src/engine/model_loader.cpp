#include "engine/model_loader.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "engine/counted_weights.h"
#include "engine/quantized_weights.h"

namespace tessera::engine {
namespace {

using nlohmann::json;

constexpr std::size_t kMostConfigBytes = 16 << 20;

template <typename Value>
std::optional<Value> number(const json& config, const char* key, const std::string& path) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return std::nullopt;
  if (!found->is_number()) {
    fail(ErrorKind::bad_input, "{}: key '{}': expected a number, found {}", path, key, found->type_name());
  }
  return found->get<Value>();
}

void add_end_tokens(const json& config, const std::string& path, std::vector<TokenId>& tokens) {
  const auto found = config.find("eos_token_id");
  if (found == config.end() || found->is_null()) return;
  for (const json& id : found->is_array() ? *found : json::array({*found})) {
    if (!id.is_number_integer() || id < 0 || id > std::int64_t{1} << 30) {
      fail(ErrorKind::bad_input, "{}: key 'eos_token_id': expected token ids, found {}", path,
           printable(id.dump()));
    }
    tokens.push_back(id.get<TokenId>());
  }
}

void read_generation_config(const std::string& path, LoadedModel& loaded) {
  json config = json::parse(read_file(path, kMostConfigBytes), nullptr, false);
  if (!config.is_object()) fail(ErrorKind::bad_input, "{}: expected a JSON object", path);
  GenerationDefaults& defaults = loaded.defaults;
  defaults.temperature = number<float>(config, "temperature", path);
  defaults.top_k = number<std::int64_t>(config, "top_k", path);
  defaults.top_p = number<float>(config, "top_p", path);
  defaults.min_p = number<float>(config, "min_p", path);
  defaults.typical_p = number<float>(config, "typical_p", path);
  defaults.repetition_penalty = number<float>(config, "repetition_penalty", path);
  if (const auto sample = config.find("do_sample"); sample != config.end() && *sample == false) {
    defaults.temperature = 0.0F;
  }
  add_end_tokens(config, path, loaded.end_of_generation);
}

std::shared_ptr<const text::Tokenizer> open_tokenizer(const formats::ModelFiles& files) {
  if (!files.tokenizer_json.empty())
    return text::load_tokenizer_json(files.tokenizer_json, files.tokenizer_config);
  if (files.weights->naming() == NamingScheme::hugging_face) {
    fail(ErrorKind::bad_input, "{}: expected tokenizer.json beside the weights, found none",
         files.weights->origin());
  }
  return text::load_gguf_tokenizer(files.weights->metadata());
}

}  // namespace

LoadedModel load_model(const std::string& path, const ProgressSink& progress,
                       const models::ModelOptions& options, const QuantizationRecipe* quantize) {
  const auto start = std::chrono::steady_clock::now();
  LoadedModel loaded;
  loaded.name = std::filesystem::path(path).stem().string();
  if (loaded.name.empty()) loaded.name = std::filesystem::path(path).parent_path().filename().string();
  Progress record{.stage = "load", .subject = loaded.name};
  const auto report = [&](bool finished) {
    record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    record.per_second = record.seconds > 0 ? static_cast<double>(record.done) / record.seconds : 0;
    record.finished = finished;
    if (progress) progress(record);
  };
  loaded.files = formats::open_model_files(path);
  if (!loaded.files.weights) {
    fail(ErrorKind::bad_input, "{}: expected a model, found no weights (.gguf or .safetensors)", path);
  }
  if (quantize != nullptr) loaded.files.weights = quantize_at_load(loaded.files.weights, *quantize);
  for (const TensorInfo& tensor : loaded.files.weights->tensors()) record.total += tensor.bytes;
  report(false);
  // The tokenizer's tables and the model's checks take about equally long, and know nothing of each other.
  auto tokenizer = std::async(std::launch::async, [&files = loaded.files] { return open_tokenizer(files); });
  models::ModelOptions running = options;
  running.weight_form = models::WeightForm::packed;
  const auto counted = count_loaded_bytes(loaded.files.weights, [&](std::uint64_t bytes) {
    record.done = std::min(bytes, record.total);
    report(false);
  });
  loaded.model = models::create_model(*counted, running);
  loaded.tokenizer = tokenizer.get();
  if (loaded.files.chat_template) {
    loaded.chat_template =
        std::make_shared<const text::ChatTemplate>(*loaded.files.chat_template, path + ": chat template");
  }
  const auto ends = loaded.tokenizer->end_of_generation_tokens();
  loaded.end_of_generation.assign(ends.begin(), ends.end());
  if (!loaded.files.generation_config.empty()) read_generation_config(loaded.files.generation_config, loaded);
  std::ranges::sort(loaded.end_of_generation);
  const auto repeated = std::ranges::unique(loaded.end_of_generation);
  loaded.end_of_generation.erase(repeated.begin(), repeated.end());
  record.done = record.total;
  report(true);
  return loaded;
}

}  // namespace tessera::engine
