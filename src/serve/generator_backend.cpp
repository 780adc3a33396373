#include "serve/generator_backend.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "engine/generation.h"
#include "serve/api_error.h"

namespace tessera::serve {

GeneratorBackend::GeneratorBackend(std::unique_ptr<engine::Generator> generator, std::int64_t max_waiting)
    : generator_(std::move(generator)), max_waiting_(max_waiting), sequence_(generator_->new_sequence()) {
  thread_ = std::thread([this] { work(); });
}

JobId GeneratorBackend::submit(GenerationJob job, GenerationSink sink) {
  // Its checks are those of the request.
  engine::Generation(generator_->loaded(), job.request, generator_->context_size());
  const auto shared_sink = std::make_shared<const GenerationSink>(std::move(sink));
  const std::lock_guard lock(mutex_);
  if (stopping_) throw ApiError(503, "the server is stopping", "", "stopping");
  const auto waiting = static_cast<std::int64_t>(waiting_.size());
  if (waiting + job.n > max_waiting_ && !(waiting == 0 && !running_)) {
    ApiError busy(429, fmt::format("{} requests are waiting already", waiting), "", "queue_full");
    busy.retry_after_seconds = 1;
    throw busy;
  }
  for (std::int64_t choice = 0; choice < job.n; ++choice) {
    auto answer = std::make_shared<Answer>();
    answer->job = next_job_;
    answer->choice = choice;
    answer->request = job.request;
    answer->request.sampling.seed += static_cast<std::uint64_t>(choice);
    answer->client = job.client;
    answer->sink = shared_sink;
    waiting_.push_back(std::move(answer));
  }
  wake_.notify_one();
  return next_job_++;
}

void GeneratorBackend::cancel(JobId job) {
  const std::lock_guard lock(mutex_);
  if (running_ && running_->job == job) running_->cancelled = true;
  for (const auto& answer : waiting_) {
    if (answer->job == job) answer->cancelled = true;
  }
}

bool GeneratorBackend::full() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::int64_t>(waiting_.size()) >= max_waiting_;
}

BackendStatistics GeneratorBackend::statistics() const {
  const std::lock_guard lock(mutex_);
  return {.waiting = static_cast<std::int64_t>(waiting_.size()),
          .running = running_ ? 1 : 0,
          .cache_tokens = generator_->cache().token_capacity(),
          .cache_used_tokens = used_tokens_};
}

void GeneratorBackend::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (running_) running_->cancelled = true;
    for (const auto& answer : waiting_) answer->cancelled = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void GeneratorBackend::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    running_ = waiting_.front();
    waiting_.pop_front();
    const auto answer = running_;
    lock.unlock();
    make(*answer);
    lock.lock();
    running_ = nullptr;
  }
}

void GeneratorBackend::make(Answer& answer) {
  const auto tell = [&](GenerationEvent event) {
    event.choice = answer.choice;
    try {
      (*answer.sink)(event);
    } catch (const std::exception&) {
      answer.cancelled = true;  // nobody listens
    }
  };
  if (client_ != answer.client) sequence_ = generator_->new_sequence();
  client_ = answer.client;
  try {
    if (answer.cancelled) {
      engine::GenerationResult nothing;
      nothing.finish_reason = engine::FinishReason::cancelled;
      return tell({.result = &nothing});
    }
    const auto on_piece = [&](const engine::GeneratedPiece& piece) { tell({.pieces = {piece}}); };
    const engine::GenerationResult result =
        generator_->generate(sequence_, answer.request, on_piece, &answer.cancelled);
    used_tokens_ = sequence_.cached();
    tell({.result = &result});
  } catch (const std::exception& error) {
    tell({.error = error.what()});
  }
}

}  // namespace tessera::serve
