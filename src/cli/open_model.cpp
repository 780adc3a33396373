#include "cli/open_model.h"

#include <unistd.h>

#include <optional>
#include <utility>

#include "base/error.h"
#include "base/thread_pool.h"
#include "cli/options.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "engine/lora_adapters.h"
#include "engine/quantization_plan.h"
#include "hub/model_directory.h"
#include "tensor/key_value_layout.h"

namespace tessera::cli {
namespace {

constexpr int kMostThreads = 1024;
constexpr double kSecondsUntilLoadingIsShown = 0.5;

// nullopt: the model's own.
std::optional<DType> cache_type(const std::string& flag, const std::string& own, const std::string& both) {
  const std::string& wanted = own.empty() ? both : own;
  if (wanted == "auto") return std::nullopt;
  const auto dtype = dtype_from_name(wanted);
  if (dtype && is_key_value_type(*dtype)) return dtype;
  fail(ErrorKind::bad_usage, "{}: expected auto, f32, f16, bf16 or q8_0, found '{}'",
       own.empty() ? "--cache-type" : flag, printable(wanted));
}

}  // namespace

void add_model_flags(CLI::App& app, ModelFlags& flags) {
  add_option(app, "-m,--model", flags.model,
             "GGUF file, Hugging Face folder, or name; without it the default model");
  add_option(app, "-t,--threads", flags.threads,
             "threads to compute with; 0: every CPU this process may use");
  add_option(app, "-c,--ctx-size", flags.context_size,
             "tokens of context; 0: what the model was trained for, at most " +
                 std::to_string(engine::kDefaultContextLimit));
  add_option(app, "--cache-type", flags.cache_type,
             "keys and values are kept as f32, f16, bf16 or q8_0; auto: f32 for float32 weights, else f16");
  add_option(app, "--cache-type-k", flags.cache_type_k, "the same for keys alone");
  add_option(app, "--cache-type-v", flags.cache_type_v, "the same for values alone");
  add_option(app, "--lora", flags.lora,
             "LoRA adapter beside the model: a PEFT folder, or NAME=FOLDER; can be repeated")
      ->allow_extra_args(false);
  add_option(
      app, "--quantize", flags.quantize,
      "round the weights to this type while loading: Q8_0, Q4_K_M, ...; without it they stay as stored");
}

engine::GeneratorOptions generator_options(const ModelFlags& flags) {
  if (flags.threads < 0 || flags.threads > kMostThreads) {
    fail(ErrorKind::bad_usage, "--threads: expected 0 to {}, found {}", kMostThreads, flags.threads);
  }
  if (flags.context_size < 0) {
    fail(ErrorKind::bad_usage, "--ctx-size: expected 0 or more tokens, found {}", flags.context_size);
  }
  return {.context_size = flags.context_size,
          .cache_key_dtype = cache_type("--cache-type-k", flags.cache_type_k, flags.cache_type),
          .cache_value_dtype = cache_type("--cache-type-v", flags.cache_type_v, flags.cache_type)};
}

std::string model_path(const ModelFlags& flags) {
  return flags.model.empty() ? hub::default_model() : hub::resolve_model(flags.model);
}

std::shared_ptr<const engine::LoadedModel> open_model(const ModelFlags& flags, const std::string& path,
                                                      const ProgressSink& progress) {
  std::optional<engine::QuantizationRecipe> recipe;
  if (!flags.quantize.empty()) recipe = engine::quantization_recipe(flags.quantize);
  if (flags.threads > 0) set_thread_count(flags.threads);
  const std::vector<engine::LoraFile> adapters = engine::lora_files(flags.lora);
  engine::LoadedModel loaded =
      engine::load_model(path, progress, {.context_size = flags.context_size}, recipe ? &*recipe : nullptr);
  engine::load_lora_adapters(loaded, adapters);
  return std::make_shared<const engine::LoadedModel>(std::move(loaded));
}

std::unique_ptr<engine::Generator> open_generator(const ModelFlags& flags) {
  engine::GeneratorOptions options = generator_options(flags);
  if (!flags.lora.empty()) options.lora = 0;
  ProgressDisplay display(STDERR_FILENO, kSecondsUntilLoadingIsShown);
  const ProgressSink show = is_terminal(STDERR_FILENO) ? display.sink() : ProgressSink();
  auto loaded = open_model(flags, model_path(flags), show);
  display.clear();
  return std::make_unique<engine::Generator>(std::move(loaded), options);
}

}  // namespace tessera::cli
