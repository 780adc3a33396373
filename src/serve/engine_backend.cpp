#include "serve/engine_backend.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "serve/api_error.h"

namespace tessera::serve {
namespace {

constexpr double kDurationMemory = 1.0 / 16;
constexpr double kLongestRetrySeconds = 600;

}  // namespace

EngineBackend::EngineBackend(std::shared_ptr<const engine::LoadedModel> loaded,
                             const EngineBackendOptions& options)
    : speculative_(options.speculative),
      priorities_(options.priorities),
      engine_(std::move(loaded), options.engine) {}

JobId EngineBackend::submit(GenerationJob job, GenerationSink sink) {
  engine::EngineRequest asked{.request = std::move(job.request),
                              .n = job.n,
                              .priority = job.priority,
                              .client = job.client,
                              .salt = job.client,
                              .lora = job.lora,
                              .wants_progress = job.wants_progress};
  asked.request.speculative = speculative_;
  if (const auto found = priorities_.find(job.client); found != priorities_.end())
    asked.priority += found->second;
  try {
    return engine_.submit(asked, [this, sink = std::move(sink)](const engine::EngineEvent& event) {
      GenerationEvent told{.choice = event.choice, .pieces = event.pieces, .progress = event.progress};
      if (event.result != nullptr) learn_duration(*event.result);
      if (event.error.empty()) told.result = event.result;
      told.error = event.error;
      sink(told);
    });
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::busy) throw;
    if (stopping_) throw ApiError(503, "the server is stopping", "", "stopping");
    ApiError busy(429, error.what(), "", "queue_full");
    busy.retry_after_seconds = retry_after(engine_.statistics());
    throw busy;
  }
}

void EngineBackend::learn_duration(const engine::GenerationResult& result) {
  if (result.finish_reason == engine::FinishReason::cancelled) return;
  const double seconds = result.timings.prefill_seconds + result.timings.decode_seconds;
  const std::lock_guard lock(mutex_);
  answer_seconds_ += answer_seconds_ == 0 ? seconds : kDurationMemory * (seconds - answer_seconds_);
}

// `running` answers end in answer_seconds_, and as many that wait take their places.
int EngineBackend::retry_after(const engine::EngineStatistics& now) const {
  const std::lock_guard lock(mutex_);
  const double rounds =
      static_cast<double>(now.waiting) / static_cast<double>(std::max<std::int64_t>(now.running, 1));
  return static_cast<int>(std::clamp(std::ceil(rounds * answer_seconds_), 1.0, kLongestRetrySeconds));
}

BackendStatistics EngineBackend::statistics() const {
  const engine::EngineStatistics now = engine_.statistics();
  return {.waiting = now.waiting,
          .running = now.running,
          .cache_tokens = now.blocks * now.block_size,
          .cache_used_tokens = (now.blocks - now.free_blocks - now.cached_blocks) * now.block_size,
          .cache_prefix_tokens = now.cached_blocks * now.block_size,
          .preemptions = now.preemptions,
          .passes = now.passes,
          .prompt_tokens = now.prompt_tokens,
          .cached_tokens = now.cached_tokens,
          .computed_tokens = now.computed_tokens,
          .generated_tokens = now.generated_tokens,
          .drafted_tokens = now.drafts.drafted,
          .accepted_tokens = now.drafts.accepted,
          .finished = now.finished,
          .cancelled = now.cancelled,
          .failed = now.failed,
          .disk = now.disk,
          .retry_after_seconds = retry_after(now)};
}

void EngineBackend::stop() {
  stopping_ = true;
  engine_.stop();
}

}  // namespace tessera::serve
