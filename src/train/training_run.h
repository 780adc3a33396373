// A whole training run: data, model, steps, measurements, checkpoints, metrics.jsonl.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "train/checkpoint.h"
#include "train/training_config.h"

namespace tessera::train {

// One line of metrics.jsonl.
struct StepLine {
  StepResult result;
  std::optional<double> validation_loss;  // when it was measured after this step
  double tokens_per_second = 0;           // over the last steps
  double share_of_peak = 0;               // of the machine's float32 multiply-adds, measured at the start
  double seconds_left = 0;
  std::int64_t steps = 0;  // in all
};

// What the run tells while it goes on; any may be empty. Called from the thread that trains.
struct TrainingEvents {
  std::function<void(const std::string&)> note;  // a sentence for people: sizes, where it resumes
  std::function<void(const StepLine&)> step;
  std::function<void(std::int64_t done, std::int64_t all)> evaluating;
  std::function<void(const std::string& path)> checkpoint;
};

struct TrainingResult {
  std::int64_t steps = 0;
  double last_loss = 0;
  std::optional<double> validation_loss;  // the last measured
  double training_seconds = 0;            // of the steps alone
  std::string checkpoint;
  bool stopped = false;  // by `stop`, before the last step; then a checkpoint was written
};

// Error bad_usage / bad_input before the first step for what can be known by then: impossible settings, too
// little data, tokens outside the vocabulary, windows longer than the model's positions, a checkpoint of
// another model. Later: limit when the numbers stop being finite (the last checkpoint stays), io.
TrainingResult run_training(const TrainingConfig& config, const TrainingEvents& events,
                            const std::atomic<bool>* stop = nullptr);

}  // namespace tessera::train
