#include "cli/training_monitor.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "train/metrics_file.h"
#include "train/sample_file.h"

namespace tessera::cli {
namespace {

using Json = nlohmann::ordered_json;

// A curve is drawn some thousand pixels wide at most.
constexpr std::size_t kMostPoints = 2000;

std::string as_text(const Json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

void TrainingMonitor::begin(std::int64_t step) {
  if (step == 0) return;
  std::map<std::int64_t, Point> found;
  for (const train::Curve& curve : train::read_metrics(run_)) {
    for (std::size_t i = 0; i < curve.x.size(); ++i) {
      const auto at = static_cast<std::int64_t>(curve.x[i]);
      if (at > step) break;
      Point& point = found[at];
      point.step = at;
      if (curve.name == "loss") point.loss = curve.y[i];
      if (curve.name == "learning_rate") point.learning_rate = curve.y[i];
      if (curve.name == "gradient_norm") point.gradient_norm = curve.y[i];
      if (curve.name == "tokens_per_second") point.tokens_per_second = curve.y[i];
      if (curve.name == "validation_loss") point.validation_loss = curve.y[i];
      if (curve.name == "ema_validation_loss") point.average_validation_loss = curve.y[i];
    }
  }
  const std::vector<train::SampleLine> samples = train::read_samples(run_);
  const std::lock_guard lock(mutex_);
  for (const auto& [at, point] : found) points_.push_back(point);
  std::ranges::copy_if(samples, std::back_inserter(samples_),
                       [&](const train::SampleLine& sample) { return sample.step <= step; });
}

TrainingMonitor::Point TrainingMonitor::point_of(const train::StepLine& line) {
  return {
      line.result.step,       line.result.loss,     line.result.learning_rate,   line.result.gradient_norm,
      line.tokens_per_second, line.validation_loss, line.average_validation_loss};
}

void TrainingMonitor::add(const train::StepLine& line) {
  const std::lock_guard lock(mutex_);
  points_.push_back(point_of(line));
  last_ = line;
}

void TrainingMonitor::add(const train::SampleLine& sample) {
  const std::lock_guard lock(mutex_);
  samples_.push_back(sample);
}

void TrainingMonitor::set_served_checkpoint(const std::string& name) {
  const std::lock_guard lock(mutex_);
  checkpoint_ = name;
}

std::string TrainingMonitor::state_json(std::int64_t after) const {
  const std::lock_guard lock(mutex_);
  Json state{{"run", std::filesystem::path(run_).lexically_normal().string()},
             {"step", last_.result.step},
             {"steps", last_.steps},
             {"seconds_left", last_.seconds_left},
             {"tokens_per_second", last_.tokens_per_second},
             {"share_of_peak", last_.share_of_peak},
             {"checkpoint", checkpoint_.empty() ? Json() : Json(checkpoint_)},
             {"points", Json::array()},
             {"samples", Json::array()}};
  const auto first = std::ranges::upper_bound(points_, after, {}, &Point::step);
  const auto count = static_cast<std::size_t>(points_.end() - first);
  const std::size_t stride = count / kMostPoints + 1;
  for (std::size_t i = 0; i < count; ++i) {
    const Point& point = first[static_cast<std::ptrdiff_t>(i)];
    // Of many an even choice, what was measured, and the last.
    if (i % stride != 0 && !point.validation_loss && i + 1 != count) continue;
    Json entry{{"step", point.step},
               {"loss", point.loss},
               {"learning_rate", point.learning_rate},
               {"gradient_norm", point.gradient_norm},
               {"tokens_per_second", point.tokens_per_second}};
    if (point.validation_loss) entry["validation_loss"] = *point.validation_loss;
    if (point.average_validation_loss) entry["ema_validation_loss"] = *point.average_validation_loss;
    state["points"].push_back(std::move(entry));
  }
  for (const train::SampleLine& sample : samples_) {
    if (sample.step <= after) continue;
    state["samples"].push_back({{"step", sample.step}, {"prompt", sample.prompt}, {"text", sample.text}});
  }
  return as_text(state);
}

}  // namespace tessera::cli
