// What `train` and `finetune` share: every setting as a flag or in a YAML file, and the run on the screen.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "train/training_config.h"

namespace CLI {
class App;
}

namespace tessera::cli {

struct TrainFlags {
  std::string yaml;
  std::optional<int> port;       // of the live view
  train::TrainingConfig config;  // the defaults, until flags are read
  // Copies a setting that was given as a flag into another configuration.
  std::vector<std::function<void(train::TrainingConfig&)>> given;
};

// --config and a flag for every setting; defaults are those of flags->config.
void add_training_flags(CLI::App& app, const std::shared_ptr<TrainFlags>& flags);
// `defaults`, changed by the YAML file, changed by the flags. Error bad_input, bad_usage.
train::TrainingConfig chosen_config(const TrainFlags& flags, train::TrainingConfig defaults);
// Runs it, with a line a step and a bar, and the live view at `port`; Ctrl-C stops it with a checkpoint.
void train_on_screen(const train::TrainingConfig& config, std::optional<int> port = std::nullopt);

}  // namespace tessera::cli
