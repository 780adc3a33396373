#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/progress_bar.h"
#include "cli/terminal.h"
#include "cli/train_flags.h"
#include "cli/training_monitor.h"
#include "cli/training_samples.h"
#include "cli/training_server.h"
#include "train/training_run.h"

namespace tessera::cli {
namespace {

using train::StepLine;
using train::TrainingConfig;

constexpr const char* kFooter = R"(
A character model of a text, in a minute or two (docs/training.md):
  tessera tokenizer train --type char -o run/tokenizer input.txt
  tessera data -m run/tokenizer/tokenizer.json -o run/data input.txt
  tessera train --data run/data --out run/model
  tessera generate -m run/model/latest -p "O Romeo"

--config FILE holds the same settings as YAML ("learning-rate: 1e-3"); flags win over it.
In a terminal a progress bar stands below the lines; RUN/metrics.jsonl has every step.
--serve shows curves and samples at http://127.0.0.1:8080/training while the run goes on, and talks with the newest
checkpoint there and at / (chat, story, OpenAI's API).
Ctrl-C writes a checkpoint and stops; --resume goes on from the newest complete one, to the same bits.

Several processes, or machines, train one model over MPI; --batch-size is that of all together:
  mpirun -np 4 --bind-to none tessera train --data run/data --out run/model
)";

constexpr int kUsualPort = 8080;
constexpr int kMostPort = 65535;

void add_setting(CLI::App& app, const std::shared_ptr<TrainFlags>& flags, const std::string& name,
                 const char* help, auto& field) {
  using Field = std::remove_reference_t<decltype(field)>;
  CLI::Option* option = nullptr;
  if constexpr (std::is_same_v<Field, bool>) {
    option = add_flag(app, "--" + name, field, help);
  } else {
    option = add_option(app, name == "model" ? "-m,--model" : "--" + name, field, help);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);  // a script's flags, then a person's
  }
  flags->given.push_back([option, name, &field](TrainingConfig& target) {
    if (option->count() == 0) return;
    train::for_each_setting(target, [&](const char* other, const char* /*help*/, auto& place) {
      if constexpr (std::is_same_v<std::remove_reference_t<decltype(place)>, Field>) {
        if (name == other) place = field;
      }
    });
  });
}

// "step 120/2000  loss 2.4133  val 2.4021  lr 9.9e-04  norm 0.81  52.1k tokens/s  31% of peak  0:42 left"
std::string step_text(const StepLine& line) {
  std::string text = fmt::format("step {}/{}  loss {:.4f}", line.result.step, line.steps, line.result.loss);
  if (line.validation_loss) text += fmt::format("  val {:.4f}", *line.validation_loss);
  if (line.average_validation_loss) text += fmt::format("  ema val {:.4f}", *line.average_validation_loss);
  return text + fmt::format("  lr {:.2e}  norm {:.2f}  {:.1f}k tokens/s  {:.0f}% of peak  {} left",
                            line.result.learning_rate, line.result.gradient_norm,
                            line.tokens_per_second / 1e3, 100 * line.share_of_peak,
                            duration_text(line.seconds_left));
}

// Lines to standard output; below them, in a terminal, the bar.
class TrainingScreen {
 public:
  explicit TrainingScreen(bool every_step) : every_step_(every_step), display_(STDERR_FILENO) {}

  train::TrainingEvents events() {
    train::TrainingEvents events;
    events.note = [this](const std::string& text) { print(text); };
    events.step = [this](const StepLine& line) { step(line); };
    events.checkpoint = [this](const std::string& path) { print("wrote " + path); };
    events.continue_text = training_sampler();
    events.sample = [this](const train::SampleLine& sample) {
      print(fmt::format("sample at step {}: {}", sample.step, sample.prompt + sample.text));
    };
    events.evaluating = [this](std::int64_t done, std::int64_t all) {
      show("evaluate", static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(all), "windows", 0);
    };
    return events;
  }
  void clear() { display_.clear(); }
  // Any thread.
  void print(const std::string& text) {
    const std::lock_guard lock(mutex_);
    display_.clear();
    fmt::print("{}\n", terminal_safe(text));
    std::fflush(stdout);
  }

 private:
  void show(const char* stage, std::uint64_t done, std::uint64_t all, const char* unit, double per_second) {
    const std::lock_guard lock(mutex_);
    display_.show({.stage = stage,
                   .subject = "the model",
                   .done = done,
                   .total = all,
                   .unit = unit,
                   .seconds = 0,
                   .per_second = per_second,
                   .finished = false});
  }
  void step(const StepLine& line) {
    const bool told = every_step_ || line.validation_loss || line.result.step <= 10 ||
                      line.result.step % 50 == 0 || line.result.step == line.steps;
    if (told) print(step_text(line));
    const double per_second = line.tokens_per_second / static_cast<double>(line.result.tokens);
    show("train", static_cast<std::uint64_t>(line.result.step), static_cast<std::uint64_t>(line.steps),
         "steps", per_second);
  }

  bool every_step_;
  std::mutex mutex_;
  ProgressDisplay display_;
};

// Lets the live view hear everything that the screen hears.
class LiveView {
 public:
  LiveView(int port, const std::string& run, TrainingScreen& screen)
      : monitor_(run),
        server_(static_cast<std::uint16_t>(port), run, monitor_,
                [&screen](const std::string& text) { screen.print(text); }) {
    screen.print("the run is on " + server_.url());
  }

  train::TrainingEvents listening(train::TrainingEvents events) {
    events.begin = [this](std::int64_t step) {
      monitor_.begin(step);
      server_.look_for_checkpoint();
    };
    events.step = [this, told = std::move(events.step)](const StepLine& line) {
      monitor_.add(line);
      told(line);
    };
    events.sample = [this, told = std::move(events.sample)](const train::SampleLine& sample) {
      monitor_.add(sample);
      told(sample);
    };
    events.checkpoint = [this, told = std::move(events.checkpoint)](const std::string& path) {
      told(path);
      server_.look_for_checkpoint();
    };
    return events;
  }

 private:
  TrainingMonitor monitor_;
  TrainingServer server_;
};

std::string ranks_text(const train::ProcessGroup& group) {
  return fmt::format("{} ranks on {} machine{}, {} thread{} each", group.size(), group.machines(),
                     group.machines() == 1 ? "" : "s", thread_pool().size(),
                     thread_pool().size() == 1 ? "" : "s");
}

bool is_cancelled(const std::exception& error) {
  const auto* own = dynamic_cast<const Error*>(&error);
  return own != nullptr && own->kind() == ErrorKind::cancelled;
}

// This rank cannot go on, and the others would wait for it. Of a rank that died every other one could tell.
void end_all_ranks(train::ProcessGroup& group, const TrainingConfig& config, const std::exception& error) {
  if (is_cancelled(error) && group.rank() > 1) group.abandon(1);
  const bool unnamed = group.is_first() || is_cancelled(error);  // that one says itself which rank it is
  fmt::print(stderr, "error: {}{}\n", unnamed ? "" : fmt::format("rank {}: ", group.rank()), error.what());
  if (const auto checkpoint = train::newest_checkpoint(config.out)) {
    fmt::print(stderr, "hint: --resume goes on from {}\n", *checkpoint);
  }
  std::fflush(stderr);
  group.abandon(1);
}

// What rank 0 would say too is not said again.
void run_quietly(const TrainingConfig& config, train::ProcessGroup& group, const InterruptGuard& interrupt) {
  try {
    train::run_training(config, {}, interrupt.flag(), &group);
  } catch (const std::exception& error) {
    const bool told_by_another = group.ended_together() && is_cancelled(error);
    if (!told_by_another) end_all_ranks(group, config, error);
  }
}

// How to use what was trained.
std::string hint(const TrainingConfig& config, const std::string& checkpoint) {
  if (config.lora_r == 0) return fmt::format("tessera generate -m {} -p \"Once\"", checkpoint);
  return fmt::format("tessera generate -m {} --lora {} -p \"Once\"", config.model, checkpoint);
}

}  // namespace

void add_training_flags(CLI::App& app, const std::shared_ptr<TrainFlags>& flags) {
  app.add_option("--config", flags->yaml, "settings as a YAML file")
      ->envname(environment_name("--train-config"));
  train::for_each_setting(flags->config, [&](const char* name, const char* help, auto& field) {
    add_setting(app, flags, name, help, field);
  });
}

TrainingConfig chosen_config(const TrainFlags& flags, TrainingConfig defaults) {
  if (!flags.yaml.empty()) train::read_training_yaml(flags.yaml, defaults);
  for (const auto& copy : flags.given) copy(defaults);
  return defaults;
}

void train_on_screen(const TrainingConfig& config, std::optional<int> port) {
  // mpirun passes SIGUSR1 on; SIGTERM is how it ends its processes, with SIGKILL a second later.
  const InterruptGuard interrupt({SIGINT, SIGTERM, SIGUSR1});
  const std::unique_ptr<train::ProcessGroup> group = train::join_process_group();
  group->set_interruption(interrupt.termination_flag());
  if (group->threads() > 0 && std::getenv("TESSERA_THREADS") == nullptr) set_thread_count(group->threads());
  TrainingScreen screen(!is_terminal(STDOUT_FILENO));
  if (!group->is_first()) {
    run_quietly(config, *group, interrupt);
    return;
  }
  if (group->size() > 1) screen.print(ranks_text(*group));
  train::TrainingEvents events = screen.events();
  std::optional<LiveView> view;
  if (port) {
    train::check_training_config(config);
    view.emplace(*port, config.out, screen);
    events = view->listening(std::move(events));
  }
  train::TrainingResult result;
  try {
    result = train::run_training(config, events, interrupt.flag(), group.get());
  } catch (const std::exception& error) {
    screen.clear();
    if (group->size() == 1 || group->ended_together()) throw;
    end_all_ranks(*group, config, error);
    throw;
  }
  screen.clear();
  const char* how = result.stopped           ? "stopped after"
                    : result.out_of_patience ? "no better for long, ended after"
                                             : "done:";
  std::string text = fmt::format("{} {} steps, {} of training, loss {:.4f}", how, result.steps,
                                 duration_text(result.training_seconds), result.last_loss);
  if (result.validation_loss) text += fmt::format(", validation loss {:.4f}", *result.validation_loss);
  if (result.average_validation_loss)
    text += fmt::format(", averaged {:.4f}", *result.average_validation_loss);
  if (result.best_validation_loss) text += fmt::format(", best {:.4f}", *result.best_validation_loss);
  fmt::print("{}\ntry it: {}\n", text, hint(config, result.checkpoint));
}

void define_train(CLI::App& app) {
  const auto flags = std::make_shared<TrainFlags>();
  add_training_flags(app, flags);
  // TESSERA_MODEL names the one that other commands open.
  app.get_option("--model")->envname(environment_name("--train-model"));
  app.add_option("--serve", flags->port,
                 "show the run on this port of the machine while it goes on; 0: any free one")
      ->envname(environment_name("--train-serve"))
      ->type_name("[PORT]")
      ->expected(0, 1)
      ->check(CLI::Range(0, kMostPort))
      ->default_str(std::to_string(kUsualPort));
  app.footer(kFooter);
  app.callback([flags] { train_on_screen(chosen_config(*flags, {}), flags->port); });
}

}  // namespace tessera::cli
