// `tessera finetune`: a LoRA adapter for any model that loads, or all weights of one.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/token_files.h"
#include "cli/train_flags.h"
#include "hub/model_directory.h"

namespace tessera::cli {
namespace {

namespace fs = std::filesystem;
using train::TrainingConfig;

constexpr const char* kFooter = R"(
Trains a LoRA adapter (docs/lora.md) beside a model that stays as it is, quantised ones too, and writes it as PEFT
does: adapter_model.safetensors and adapter_config.json. --full trains all weights of a Hugging Face folder.

--data takes what `tessera data` wrote, or texts and conversations (.txt, .md, .jsonl, .chatml, folders of them),
which are turned into token files in OUT/data; the answers of conversations alone count in the loss.

Examples:
  tessera finetune -m SmolLM2 --data chats.jsonl --out run/mine
  tessera generate -m SmolLM2 --lora run/mine/latest -p "Once"
  tessera merge -m SmolLM2 --lora run/mine/latest -o merged
Ctrl-C writes a checkpoint and stops; --resume goes on from the newest complete one, to the same bits.
)";

struct FinetuneFlags {
  bool full = false;
};

TrainingConfig defaults(bool full) {
  TrainingConfig config;
  config.lora_r = full ? 0 : 8;
  config.steps = 500;
  config.batch_size = 8;
  config.seq_len = 256;
  config.stride = 0;
  config.learning_rate = full ? 2e-5 : 2e-4;
  config.minimum_learning_rate = config.learning_rate / 10;
  config.warmup = 20;
  config.beta2 = 0.999;
  config.weight_decay = 0.0;
  config.evaluate_every = 100;
  config.save_every = 100;
  return config;
}

// Token files as they are; anything else becomes token files in OUT/data, once.
void prepare_data(TrainingConfig& config) {
  if (config.data.empty() || !config.train_file.empty()) return;
  const fs::path given(config.data);
  std::error_code ignored;
  if (fs::exists(given / "train.tokens", ignored)) return;
  if (given.extension() == ".tokens") {
    config.train_file = std::exchange(config.data, "");
    return;
  }
  if (!fs::exists(given, ignored)) {
    fail(ErrorKind::io, "{}: expected token files, texts or conversations, found nothing", config.data);
  }
  if (config.out.empty()) fail(ErrorKind::bad_usage, "expected a folder for the run: --out FOLDER");
  const fs::path made = fs::path(config.out) / "data";
  if (!(config.resume && fs::exists(made / "train.tokens", ignored))) {
    fs::create_directories(config.out);
    print_token_files(write_token_files({.model = config.model,
                                         .chat_template = {},
                                         .output = made.string(),
                                         .eos_where_known = true,
                                         .options = {.inputs = {config.data}}}));
  }
  config.data = made.string();
}

void finetune(const TrainFlags& flags, bool full) {
  TrainingConfig config = chosen_config(flags, defaults(full));
  if (full) config.lora_r = 0;
  if (!full && config.lora_r < 1) {
    fail(ErrorKind::bad_usage, "lora-r: expected 1 or more, or --full to train all weights, found {}",
         config.lora_r);
  }
  config.model = config.model.empty() ? hub::default_model() : hub::resolve_model(config.model);
  train::check_training_config(config);
  prepare_data(config);
  train_on_screen(config);
}

}  // namespace

void define_finetune(CLI::App& app) {
  const auto flags = std::make_shared<TrainFlags>();
  const auto own = std::make_shared<FinetuneFlags>();
  flags->config = defaults(false);
  add_flag(app, "--full", own->full, "train all weights instead of an adapter; needs weights of floats");
  add_training_flags(app, flags);
  app.footer(kFooter);
  app.callback([flags, own] { finetune(*flags, own->full); });
}

}  // namespace tessera::cli
