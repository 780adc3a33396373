// Times whole training steps (forward, loss, backward, clip, AdamW) of a GPT-2 of any shape on random tokens:
//   training_bench --layers 4 --heads 4 --width 128 --tokens 64 --batch 12 --vocabulary 65 --precision f32
// Prints one line of JSON: the median step in milliseconds, tokens a second, and the peak of resident memory.
#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <random>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/profile.h"
#include "train/initial_weights.h"
#include "train/training_config.h"

namespace tessera::train {
namespace {

// Seconds on the wall's clock, or of the processor's time that this process took.
double now(bool processor_time) {
  if (processor_time) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Flags {
  TrainingConfig config;
  std::int64_t vocabulary = 65;
  std::int64_t repetitions = 3;
  double seconds = 0;
  bool cpu_time = false;
  bool profile = false;
};

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

void run(const Flags& flags) {
  const auto path =
      std::filesystem::temp_directory_path() / fmt::format("training_bench_{}.json", ::getpid());
  write_file_atomically(path.string(), model_config_json(flags.config, flags.vocabulary));
  const auto model =
      models::create_model(InitialWeights(path.string(), 1), {.weight_form = models::WeightForm::trainable});
  std::filesystem::remove(path);
  Trainer trainer(*model, trainer_options(flags.config));
  std::mt19937_64 random(1);
  const auto next = [&](Batch& batch) {
    batch.B = flags.config.batch_size;
    batch.T = flags.config.seq_len;
    std::uniform_int_distribution<std::int32_t> token(0, static_cast<std::int32_t>(flags.vocabulary) - 1);
    batch.inputs.resize(static_cast<std::size_t>(batch.B * batch.T));
    batch.targets.resize(batch.inputs.size());
    for (auto& id : batch.inputs) id = token(random);
    for (auto& id : batch.targets) id = token(random);
  };
  Profile profile;
  std::vector<double> seconds;
  double total = 0;
  for (std::int64_t i = 0; i < flags.repetitions + 2 || total < flags.seconds; ++i) {
    const bool timed = i >= 2;
    std::unique_ptr<ProfileScope> scope;
    if (timed && flags.profile) scope = std::make_unique<ProfileScope>(profile);
    const double start = now(flags.cpu_time);
    trainer.step(next);
    if (!timed) continue;
    seconds.push_back(now(flags.cpu_time) - start);
    total += seconds.back();
  }
  std::ranges::sort(seconds);
  const double median = seconds[seconds.size() / 2];
  const double tokens = static_cast<double>(flags.config.batch_size * flags.config.seq_len);
  const double flops = training_flops_per_token(*model, flags.config.seq_len) * tokens;
  fmt::print(
      "{{\"parameters\": {}, \"milliseconds\": {:.3f}, \"tokens_per_second\": {:.1f}, \"gflops\": {:.1f}, "
      "\"peak_megabytes\": {:.1f}}}\n",
      model->parameter_count(), median * 1e3, tokens / median, flops / median * 1e-9, peak_megabytes());
  for (const ProfileEntry& entry : profile.entries()) {
    fmt::print("{:>8.3f} ms {:>5} calls  {}\n", entry.seconds * 1e3 / static_cast<double>(seconds.size()),
               entry.calls / static_cast<std::int64_t>(seconds.size()), entry.operation);
  }
}

}  // namespace
}  // namespace tessera::train

int main(int argc, char** argv) {
  tessera::train::Flags flags;
  CLI::App app("times training steps");
  app.add_option("--layers", flags.config.layers);
  app.add_option("--heads", flags.config.heads);
  app.add_option("--width", flags.config.hidden_size);
  app.add_option("--tokens", flags.config.seq_len);
  app.add_option("--batch", flags.config.batch_size);
  app.add_option("--precision", flags.config.precision);
  app.add_option("--vocabulary", flags.vocabulary);
  app.add_option("--repetitions", flags.repetitions, "steps that are timed, at least");
  app.add_option("--seconds", flags.seconds, "that the timed steps take, at least");
  app.add_flag("--cpu-time", flags.cpu_time, "processor time instead of the wall's");
  app.add_flag("--profile", flags.profile);
  CLI11_PARSE(app, argc, argv);
  try {
    tessera::train::run(flags);
  } catch (const tessera::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
  return 0;
}
