// A whole training run: data, model, steps, measurements, checkpoints, metrics.jsonl.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "train/checkpoint.h"
#include "train/distributed/process_group.h"
#include "train/sample_file.h"
#include "train/training_config.h"

namespace tessera::train {

// One line of metrics.jsonl.
struct StepLine {
  StepResult result;
  std::optional<double> validation_loss;          // when it was measured after this step
  std::optional<double> average_validation_loss;  // of the averaged weights (--ema)
  double tokens_per_second = 0;                   // over the last steps
  double share_of_peak = 0;  // of the machine's float32 multiply-adds, measured at the start
  double seconds_left = 0;
  std::int64_t steps = 0;  // in all
};

// A text to write while the model is being trained.
struct SampleRequest {
  const models::Model& model;
  std::string tokenizer_json = {};    // path
  std::string tokenizer_config = {};  // path; empty when absent
  std::string prompt;
  std::int64_t tokens = 0;
  double temperature = 0;
  std::uint64_t seed = 0;
  nn::LoraId lora = nn::kNoLora;  // the adapter in training
};

// What the run tells while it goes on; any may be empty. Called from the thread that trains.
struct TrainingEvents {
  std::function<void(const std::string&)> note;  // a sentence for people: sizes, where it resumes
  std::function<void(std::int64_t)> begin;       // before the first step: how many are taken already
  std::function<void(const StepLine&)> step;
  std::function<void(std::int64_t done, std::int64_t all)> evaluating;
  std::function<void(const std::string& path)> checkpoint;
  std::function<void(const SampleLine&)> sample;
  // Not told but asked: goes on from the prompt. This room knows no engine; without it there are no samples.
  std::function<std::string(const SampleRequest&)> continue_text;
};

struct TrainingResult {
  std::int64_t steps = 0;
  double last_loss = 0;
  std::optional<double> validation_loss;  // the last measured
  std::optional<double> average_validation_loss;
  std::optional<double> best_validation_loss;  // of those that patience looks at
  double training_seconds = 0;                 // of the steps alone
  std::string checkpoint;
  bool out_of_patience = false;
  bool stopped = false;  // by `stop`, before the last step; then a checkpoint was written
};

// Error bad_usage / bad_input before the first step for what can be known by then: impossible settings, too
// little data, tokens outside the vocabulary, windows longer than the model's positions, a checkpoint of
// another model. Later: limit when the numbers stop being finite (the last checkpoint stays), io.
//
// With a `group` of several ranks each calls this with the same configuration and takes its share of each
// batch; rank 0 alone writes and tells. All see the folder of the run under the same path.
TrainingResult run_training(const TrainingConfig& config, const TrainingEvents& events,
                            const std::atomic<bool>* stop = nullptr, ProcessGroup* group = nullptr);

}  // namespace tessera::train
