#include "engine/task.h"

#include <algorithm>
#include <exception>

namespace tessera::engine {

void Task::advance(const Tensor& logits) {
  try {
    generation.advance(sequence, logits);
  } catch (const std::exception& problem) {
    error = problem.what();
    generation.finish(FinishReason::cancelled);
  }
  if (first_token == Clock::time_point()) first_token = Clock::now();
}

void Task::finish_timings() {
  const auto now = Clock::now();
  const auto or_now = [&](Clock::time_point time) { return time == Clock::time_point() ? now : time; };
  const auto seconds = [](Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
  };
  Timings& timings = generation.result().timings;
  timings.queue_seconds = seconds(arrived, or_now(admitted));
  timings.prefill_seconds = seconds(or_now(admitted), or_now(first_token));
  timings.decode_seconds = seconds(or_now(first_token), now);
  timings.decode_tokens = std::max<std::int64_t>(generation.generated() - 1, 0);
}

}  // namespace tessera::engine
