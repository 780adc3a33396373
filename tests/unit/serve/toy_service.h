// A Service on a toy model that says "h" until position 60 of the text and then ends, so that answers are
// known; its tokens are bytes.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "serve/engine_backend.h"
#include "serve/service.h"
#include "unit/engine/toy_text.h"

namespace tessera::serve::testing {

inline constexpr int kTextEnd = 60;

inline std::shared_ptr<engine::LoadedModel> toy_model(std::int64_t context) {
  std::vector<TokenId> script(kTextEnd, 'h');
  script.push_back(engine::testing::kImEnd);
  auto loaded =
      engine::testing::loaded_with(std::make_shared<engine::testing::ScriptedModel>(script, context));
  // A message is its first letter and text: short, so that prompts are counted easily.
  loaded->chat_template = std::make_shared<const text::ChatTemplate>(
      "{% for m in messages %}{{ m.role[0] }}{{ m.content }}{% endfor %}{% if add_generation_prompt %}a{% "
      "endif %}");
  return loaded;
}

// A pool of four contexts.
inline EngineBackendOptions toy_options(std::int64_t context, std::int64_t queue, std::int64_t parallel) {
  return {.engine = {.context_size = context,
                     .cache_tokens = 4 * context,
                     .scheduler = {.max_batch_tokens = 64 + parallel, .max_sequences = parallel},
                     .max_waiting = queue}};
}

inline std::unique_ptr<EngineBackend> toy_backend(std::int64_t context = 256, std::int64_t queue = 8,
                                                  std::int64_t parallel = 8) {
  return std::make_unique<EngineBackend>(toy_model(context), toy_options(context, queue, parallel));
}

inline ServedModel served_by(Backend& backend) {
  ServedModel served{.backend = &backend, .sampling = {.temperature = 0}};
  served.names = {"toy", "other-name"};
  return served;
}

// Takes jobs and lets the test say what becomes of them.
class FakeBackend final : public Backend {
 public:
  struct Job {
    GenerationJob job;
    GenerationSink sink;
    bool cancelled = false;
  };
  const engine::LoadedModel& loaded() const override { return *loaded_; }
  std::int64_t context_size() const override { return 256; }
  JobId submit(GenerationJob job, GenerationSink sink) override {
    const std::lock_guard lock(mutex);
    jobs.push_back({std::move(job), std::move(sink)});
    return jobs.size();
  }
  void cancel(JobId id) override {
    const std::lock_guard lock(mutex);
    jobs[id - 1].cancelled = true;
  }
  bool full() const override { return is_full; }
  BackendStatistics statistics() const override { return {}; }
  void stop() override {}

  std::size_t job_count() const {
    const std::lock_guard lock(mutex);
    return jobs.size();
  }
  bool cancelled(std::size_t index) const {
    const std::lock_guard lock(mutex);
    return jobs[index].cancelled;
  }

  mutable std::mutex mutex;
  std::deque<Job> jobs;
  std::atomic<bool> is_full{false};

 private:
  std::shared_ptr<engine::LoadedModel> loaded_ = toy_model(256);
};

// What a service answers to a request, without sockets; waits for the end.
inline Exchange::Output answer_of(HttpHandler& service, HttpRequest request) {
  if (const auto refusal = service.refuse(request)) return {.head = *refusal, .ended = true};
  const auto exchange = std::make_shared<Exchange>(std::move(request));
  // Whoever writes the end may still be in the call when the end has been read.
  struct Signal {
    std::mutex mutex;
    std::condition_variable changed;
  };
  const auto signal = std::make_shared<Signal>();
  Exchange::Output all;
  exchange->on_output([signal] {
    const std::lock_guard lock(signal->mutex);
    signal->changed.notify_one();
  });
  try {
    service.handle(exchange);
  } catch (const ApiError& error) {
    exchange->respond(error_response(error));
  } catch (const Error& error) {
    exchange->respond(error_response(as_api_error(error)));
  }
  std::unique_lock lock(signal->mutex);
  const auto collect = [&] {
    Exchange::Output output = exchange->take();
    if (output.head) all.head = std::move(output.head);
    all.streams = output.streams;
    all.bytes += output.bytes;
    all.ended = output.ended;
    return all.ended;
  };
  signal->changed.wait_for(lock, std::chrono::seconds(60), collect);
  exchange->on_output(nullptr);
  return all;
}

inline HttpRequest post(const std::string& path, const std::string& body) {
  return {.method = "POST",
          .path = path,
          .query = "",
          .headers = {{"host", "127.0.0.1"}, {"content-type", "application/json"}},
          .body = body};
}

}  // namespace tessera::serve::testing
