// The flags of every command that runs a model, and opening it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/generator.h"

namespace CLI {
class App;
}

namespace tessera::cli {

struct ModelFlags {
  std::string model;                // empty: the default model
  int threads = 0;                  // 0: every usable CPU
  std::int64_t context_size = 0;    // 0: the model's, at most engine::kDefaultContextLimit
  std::string cache_type = "auto";  // of keys and of values; auto: engine::default_key_value_type
  std::string cache_type_k;         // empty: cache_type
  std::string cache_type_v;
  std::vector<std::string> lora;  // adapters: PATH or NAME=PATH
  std::string quantize;           // empty: weights as they are stored
};

// -m/--model, -t/--threads, -c/--ctx-size, --cache-type[-k|-v], --lora, --quantize.
void add_model_flags(CLI::App& app, ModelFlags& flags);

// Error bad_usage: flags out of range.
engine::GeneratorOptions generator_options(const ModelFlags& flags);
// The file or folder that the flags name (hub::resolve_model).
std::string model_path(const ModelFlags& flags);
// Sets the thread count and opens the model at `path` with its adapters. Error as engine::load_model and
// load_lora_adapters; bad_usage: --quantize.
std::shared_ptr<const engine::LoadedModel> open_model(const ModelFlags& flags, const std::string& path,
                                                      const ProgressSink& progress);
// All three, with the progress shown in a terminal; the first adapter is in force.
std::unique_ptr<engine::Generator> open_generator(const ModelFlags& flags);

}  // namespace tessera::cli
