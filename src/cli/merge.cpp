// `tessera merge`: a model with a LoRA adapter in its weights.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "engine/merged_weights.h"
#include "engine/quantize_model.h"
#include "formats/open_model_files.h"
#include "formats/peft_adapter.h"
#include "hub/model_directory.h"

namespace tessera::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFooter = R"(
Writes W + s B A (docs/lora.md). Of a Hugging Face folder: a folder with model.safetensors, in the type the weights
have, or --type F32, F16 or BF16. Where TARGET ends with .gguf, and for every GGUF model: a GGUF file in a type of
`tessera quantize`, F16 unless --type says another.

Examples:
  tessera merge -m models/SmolLM2 --lora run/mine/latest -o merged
  tessera merge -m SmolLM2.Q4_1.gguf --lora run/mine/latest -o merged.gguf --type Q8_0
)";

struct MergeFlags {
  std::string model;
  std::string lora;
  std::string output;
  std::string type;
};

std::optional<DType> stored_type(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto dtype = dtype_from_name(text);
  if (dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16) return dtype;
  fail(ErrorKind::bad_usage, "--type: expected F32, F16 or BF16 for safetensors, found '{}'",
       printable(text));
}

void write_gguf(formats::ModelFiles files, const LoraAdapter& adapter, const MergeFlags& flags,
                const ProgressSink& progress) {
  files.weights = engine::merge_lora(files.weights, adapter, DType::f32).weights;
  const engine::QuantizationRecipe recipe =
      engine::quantization_recipe(flags.type.empty() ? "F16" : flags.type);
  engine::write_quantized(engine::plan_quantization_job(files, recipe), flags.output, progress);
}

void write_folder(const formats::ModelFiles& files, const LoraAdapter& adapter, const std::string& model,
                  const MergeFlags& flags, const ProgressSink& progress) {
  const engine::MergedModel merged = engine::merge_lora(files.weights, adapter, stored_type(flags.type));
  Progress record{.stage = "merge", .subject = fs::path(flags.output).filename().string()};
  for (const TensorInfo& tensor : merged.weights->tensors()) record.total += tensor.bytes;
  engine::write_merged_folder(merged, model, flags.output, [&](std::size_t bytes) {
    record.done += bytes;
    progress(record);
  });
}

void merge(const MergeFlags& flags) {
  if (flags.lora.empty() || flags.output.empty()) {
    fail(ErrorKind::bad_usage, "expected --lora FOLDER and -o TARGET; 'tessera merge --help' shows examples");
  }
  const std::string model = flags.model.empty() ? hub::default_model() : hub::resolve_model(flags.model);
  const formats::PeftAdapter adapter = formats::read_peft_adapter(flags.lora);
  const formats::ModelFiles files = formats::open_model_files(model);
  const bool from_gguf = formats::require_weights(files).naming() == NamingScheme::gguf;
  const bool to_gguf = flags.output.ends_with(".gguf");
  if (from_gguf && !to_gguf) {
    fail(ErrorKind::bad_usage, "{}: expected a name that ends with .gguf, as the model is a GGUF file",
         flags.output);
  }
  const InterruptGuard interrupt;
  ProgressDisplay display(STDERR_FILENO, 0.5);
  const ProgressSink progress = [&](const Progress& now) {
    if (is_terminal(STDERR_FILENO)) display.show(now);
    if (interrupt.interrupted()) fail(ErrorKind::cancelled, "stopped");
  };
  if (to_gguf) {
    write_gguf(files, adapter.adapter, flags, progress);
  } else {
    write_folder(files, adapter.adapter, model, flags, progress);
  }
  display.clear();
  fmt::print("{}: {} modules of {} are in it\n", for_standard_output(flags.output),
             adapter.adapter.modules.size(), for_standard_output(flags.lora));
}

}  // namespace

void define_merge(CLI::App& app) {
  const auto flags = std::make_shared<MergeFlags>();
  add_option(app, "-m,--model", flags->model,
             "GGUF file, Hugging Face folder, or name; without it the default model");
  add_option(app, "--lora", flags->lora, "the adapter: a folder in PEFT's layout");
  add_option(app, "-o,--output", flags->output, "folder, or name of a GGUF file, to write");
  add_option(app, "--type", flags->type, "type of the weights written");
  app.footer(kFooter);
  app.callback([flags] { merge(*flags); });
}

}  // namespace tessera::cli
