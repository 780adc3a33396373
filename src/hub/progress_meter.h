// Fills the progress record: bytes done, speed over the last seconds, ten reports a second at most.
#pragma once
#include <chrono>
#include <deque>
#include <string>
#include <utility>

#include "base/progress.h"

namespace tessera::hub {

class ProgressMeter {
 public:
  // `already`: bytes that were there before the stage began; they count as done but not as speed.
  ProgressMeter(ProgressSink sink, std::string stage, std::string subject, std::uint64_t total,
                std::uint64_t already);

  void set_subject(std::string subject) { progress_.subject = std::move(subject); }
  void set_stage(std::string stage) { progress_.stage = std::move(stage); }
  void advance(std::uint64_t bytes);
  // Takes bytes back, when a server sends a file anew.
  void retreat(std::uint64_t bytes);
  // Reports though nothing came; what the sink throws passes through.
  void tick();
  void finish();

 private:
  void report(bool always);

  using Clock = std::chrono::steady_clock;
  ProgressSink sink_;
  Progress progress_;
  Clock::time_point begin_;
  Clock::time_point last_report_;
  std::uint64_t received_ = 0;
  std::deque<std::pair<Clock::time_point, std::uint64_t>> samples_;  // of the last seconds
};

}  // namespace tessera::hub
