// The times of one request while its answers are made, for /metrics. For .cpp files of this room only.
#pragma once
#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

#include "engine/request.h"
#include "serve/metrics.h"

namespace tessera::serve {

// For one thread at a time.
class AnswerClock {
 public:
  // Begins now. `metrics` must outlive the clock.
  AnswerClock(Metrics& metrics, std::size_t answers) : metrics_(&metrics), last_text_(answers) {}

  // Some text of an answer has come.
  void text(std::size_t answer) {
    const Clock::time_point now = Clock::now();
    if (first_token_seconds_ < 0) metrics_->count_first_token(first_token_seconds_ = between(begin_, now));
    std::optional<Clock::time_point>& last = last_text_[answer];
    if (last) metrics_->count_token_gap(between(*last, now));
    last = now;
  }
  // An answer is over.
  void ended(const engine::GenerationResult& result) { metrics_->count_queue(result); }
  // All are.
  void all_made(const engine::Usage& usage) { metrics_->count_generation(seconds(), usage); }

  double seconds() const { return between(begin_, Clock::now()); }
  // From the request to its first text; until now when there is none.
  double first_token_seconds() const { return first_token_seconds_ < 0 ? seconds() : first_token_seconds_; }

 private:
  using Clock = std::chrono::steady_clock;
  static double between(Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
  }

  Metrics* metrics_;
  Clock::time_point begin_ = Clock::now();
  std::vector<std::optional<Clock::time_point>> last_text_;  // of each answer
  double first_token_seconds_ = -1;
};

}  // namespace tessera::serve
