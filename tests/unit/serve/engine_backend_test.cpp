// The backend on the engine: what it takes and refuses, whose prefixes it shares, and what it counts.
#include "serve/engine_backend.h"

#include <gtest/gtest.h>

#include <future>

#include "toy_service.h"

namespace tessera::serve {
namespace {

GenerationJob job_of(std::string_view prompt, std::int64_t tokens = 4) {
  GenerationJob job;
  job.request.prompt = engine::testing::bytes_of(prompt);
  job.request.sampling.temperature = 0;
  job.request.max_new_tokens = tokens;
  return job;
}

engine::GenerationResult run(Backend& backend, GenerationJob job) {
  std::promise<engine::GenerationResult> result;
  backend.submit(std::move(job), [&](const GenerationEvent& event) {
    if (event.result != nullptr) result.set_value(*event.result);
  });
  return result.get_future().get();
}

// One answer that stands still after its first event until it is let go.
struct HeldAnswer {
  HeldAnswer(Backend& backend, GenerationJob job) {
    id = backend.submit(std::move(job), [this](const GenerationEvent& event) {
      if (first.exchange(false)) {
        entered.set_value();
        may_go_on.get_future().wait();
      }
      if (event.result != nullptr) reason.set_value(event.result->finish_reason);
    });
    entered.get_future().wait();
  }
  std::atomic<bool> first{true};
  std::promise<void> entered;
  std::promise<void> may_go_on;
  std::promise<engine::FinishReason> reason;
  JobId id = 0;
};

TEST(EngineBackend, RefusesWhatItsQueueCannotHoldAndCancelsWhatWaits) {
  const auto backend = testing::toy_backend(256, 2, 1);
  HeldAnswer held(*backend, job_of("a", -1));
  std::atomic<int> cancelled{0};
  GenerationJob job = job_of("b");
  job.n = 2;
  const JobId second = backend->submit(job, [&](const GenerationEvent& event) {
    if (event.result != nullptr && event.result->finish_reason == engine::FinishReason::cancelled)
      ++cancelled;
  });
  EXPECT_TRUE(backend->full());
  EXPECT_EQ(backend->statistics().waiting, 2);
  try {
    backend->submit(job, [](const GenerationEvent&) {});
    FAIL() << "taken";
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 429);
    EXPECT_GE(error.retry_after_seconds, 1);
  }
  backend->cancel(second);
  held.may_go_on.set_value();
  EXPECT_EQ(held.reason.get_future().get(), engine::FinishReason::end_of_generation);
  backend->stop();
  EXPECT_EQ(cancelled, 2);
  try {
    backend->submit(job, [](const GenerationEvent&) {});
    FAIL() << "taken";
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 503);
  }
}

TEST(EngineBackend, PrefixesAreSharedWithinAClientOnly) {
  const auto backend = testing::toy_backend();
  GenerationJob job = job_of(std::string(40, 'p'));
  job.client = "ada";
  EXPECT_EQ(run(*backend, job).usage.cached_tokens, 0);
  EXPECT_EQ(run(*backend, job).usage.cached_tokens, 39);
  job.client = "bob";
  EXPECT_EQ(run(*backend, job).usage.cached_tokens, 0);
  backend->stop();
  const BackendStatistics now = backend->statistics();
  EXPECT_EQ(now.finished, 3);
  EXPECT_EQ(now.prompt_tokens, 120);
  EXPECT_EQ(now.cached_tokens, 39);
  EXPECT_EQ(now.generated_tokens, 12);
  EXPECT_EQ(now.cache_tokens, 4 * 256);
  EXPECT_EQ(now.cache_used_tokens, 0);
  EXPECT_GT(now.cache_prefix_tokens, 0);
}

TEST(EngineBackend, AHigherPriorityGoesFirstAndClientsTakeTurns) {
  EngineBackendOptions options = testing::toy_options(256, 100, 1);
  options.priorities = {{"boss", 2}, {"idler", -1}};
  const auto backend = std::make_unique<EngineBackend>(testing::toy_model(256), options);
  HeldAnswer held(*backend, job_of("a", 2));
  std::mutex mutex;
  std::vector<std::string> ended;
  std::promise<void> done;
  const auto submit = [&](const std::string& name, const std::string& client, std::int32_t priority) {
    GenerationJob job = job_of("same length");
    job.client = client;
    job.priority = priority;
    backend->submit(job, [&, name](const GenerationEvent& event) {
      if (event.result == nullptr) return;
      const std::lock_guard lock(mutex);
      ended.push_back(name);
      if (ended.size() == 8) done.set_value();
    });
  };
  for (const char* name : {"ada1", "ada2", "ada3"}) submit(name, "ada", 0);
  for (const char* name : {"bob1", "bob2"}) submit(name, "bob", 0);
  submit("idler", "idler", 0);
  submit("urgent", "ada", 1);
  submit("boss", "boss", 0);
  held.may_go_on.set_value();
  done.get_future().wait();
  backend->stop();
  // ada has had an answer more by then: the two take turns, and bob begins.
  EXPECT_EQ(ended,
            (std::vector<std::string>{"boss", "urgent", "bob1", "ada1", "bob2", "ada2", "ada3", "idler"}));
}

// Says nothing but that it cannot.
class BrokenModel final : public models::Model {
 public:
  const models::ModelConfig& config() const override { return toy_.config(); }
  Tensor forward(const RaggedBatch& /*batch*/, nn::AttentionMechanism& /*attention*/) const override {
    fail(ErrorKind::limit, "no memory for this pass");
  }
  Tensor logits(const Tensor& hidden) const override { return hidden; }
  std::int64_t parameter_count() const override { return 0; }
  std::size_t parameter_bytes() const override { return 0; }

 private:
  engine::testing::ToyModel toy_;
};

TEST(EngineBackend, AFailureIsTheLastEventAndHasNoResult) {
  EngineBackend backend(engine::testing::loaded_with(std::make_shared<BrokenModel>()),
                        testing::toy_options(256, 8, 8));
  std::promise<std::string> failed;
  backend.submit(job_of("fails"), [&](const GenerationEvent& event) {
    EXPECT_EQ(event.result, nullptr);
    if (!event.error.empty()) failed.set_value(event.error);
  });
  EXPECT_NE(failed.get_future().get().find("no memory for this pass"), std::string::npos);
}

}  // namespace
}  // namespace tessera::serve
