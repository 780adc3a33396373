// A training run as its live view sees it: takes what the run tells in its own thread, and answers the
// server's.
#pragma once
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "serve/training_view.h"
#include "train/training_run.h"

namespace tessera::cli {

class TrainingMonitor final : public serve::TrainingView {
 public:
  // `run`: its folder, whose metrics.jsonl and samples.jsonl up to where it goes on are shown too.
  explicit TrainingMonitor(std::string run) : run_(std::move(run)) {}

  // Before the first step. Reads what an earlier part of the run wrote, up to `step`.
  void begin(std::int64_t step);
  void add(const train::StepLine& line);
  void add(const train::SampleLine& sample);
  void set_served_checkpoint(const std::string& name);

  std::string state_json(std::int64_t after) const override;

 private:
  struct Point {
    std::int64_t step = 0;
    double loss = 0;
    double learning_rate = 0;
    double gradient_norm = 0;
    double tokens_per_second = 0;
    std::optional<double> validation_loss;
    std::optional<double> average_validation_loss;
  };
  static Point point_of(const train::StepLine& line);

  const std::string run_;
  mutable std::mutex mutex_;
  std::vector<Point> points_;
  std::vector<train::SampleLine> samples_;
  train::StepLine last_;
  std::string checkpoint_;
};

}  // namespace tessera::cli
