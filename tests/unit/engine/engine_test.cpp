#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>

#include "engine_fixture.h"
#include "support/error_of.h"

namespace tessera::engine {
namespace {

using testing::alone;
using testing::expect_same_text;
using testing::letters;
using testing::random_request;
using testing::toy;

constexpr std::int64_t kContext = 128;

EngineOptions small(std::int64_t max_waiting = 1024) {
  return {.context_size = kContext,
          .cache_tokens = 3 * kContext,
          .scheduler = {.max_batch_tokens = 48, .max_sequences = 8},
          .max_waiting = max_waiting};
}

TEST(Engine, ManyThreadsAskAndEachGetsItsOwnText) {
  Engine engine(toy(), small());
  std::vector<std::thread> threads;
  for (unsigned int seed = 1; seed <= 6; ++seed) {
    threads.emplace_back([&engine, seed] {
      std::mt19937 random(seed);
      for (int i = 0; i < 12; ++i) {
        const EngineRequest request = random_request(random, 90);
        const auto found = engine.run(request);
        const auto expected = alone(request, kContext);
        ASSERT_EQ(found.size(), expected.size());
        for (std::size_t k = 0; k < found.size(); ++k) expect_same_text(found[k], expected[k]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  engine.clear_prefix_cache();
  engine.drain();
  const EngineStatistics statistics = engine.statistics();
  EXPECT_GE(statistics.finished, 72);
  EXPECT_EQ(statistics.failed, 0);
  EXPECT_EQ(statistics.waiting, 0);
  EXPECT_EQ(statistics.running, 0);
  EXPECT_EQ(statistics.free_blocks + statistics.cached_blocks, statistics.blocks);
}

TEST(Engine, ACancelledRequestEndsAndGivesItsBlocksBack) {
  Engine engine(toy(), small());
  std::promise<void> begun;
  std::promise<FinishReason> ended;
  std::atomic<int> pieces{0};
  const RequestId id = engine.submit(letters("go on and on", 1, -1), [&](const EngineEvent& event) {
    if (!event.pieces.empty() && pieces.fetch_add(1) == 0) begun.set_value();
    if (event.result != nullptr) ended.set_value(event.result->finish_reason);
  });
  begun.get_future().wait();
  engine.cancel(id);
  // It may have come to the end of its context first.
  const FinishReason reason = ended.get_future().get();
  EXPECT_TRUE(reason == FinishReason::cancelled || reason == FinishReason::context_full);
  engine.cancel(id);
  engine.cancel(12345);
  engine.drain();
  EXPECT_EQ(engine.statistics().running, 0);
  EXPECT_EQ(engine.statistics().free_blocks + engine.statistics().cached_blocks, engine.statistics().blocks);
}

// Waiting for a slot, in its prompt, decoding, several answers: cancelled from the engine's thread in the
// middle of a pass, it is over, and its blocks are free, when the second pass after that has ended.
TEST(Engine, WhoIsCancelledHasGivenItsBlocksBackAfterTwoPasses) {
  for (const std::int64_t n : {1, 3}) {
    for (int cancel_after = 1; cancel_after < 12; ++cancel_after) {
      Engine engine(toy(), small());
      RequestId victim = 0;
      int passes = 0;
      int ended = 0;
      std::atomic<int> open{static_cast<int>(n)};
      std::promise<void> done;
      // One token a pass: its events count passes.
      const EventSink companion = [&](const EngineEvent& event) {
        if (event.result != nullptr) return done.set_value();
        if (++passes == cancel_after) engine.cancel(victim);
        if (passes < cancel_after + 2) return;
        EXPECT_EQ(open, 0) << n << " " << cancel_after;
        EXPECT_LE(ended, cancel_after + 2);
      };
      EngineRequest goes_on = letters("companion", 1, 40);
      EngineRequest asked = letters(std::string(90, 'v'), 2, -1);  // its prompt takes several passes
      asked.n = n;
      victim = engine.submit(asked, [&](const EngineEvent& event) {
        if (event.result == nullptr) return;
        EXPECT_NE(event.result->finish_reason, FinishReason::length);
        --open;
        ended = passes;
      });
      engine.submit(goes_on, companion);
      done.get_future().wait();
      engine.drain();
      const EngineStatistics now = engine.statistics();
      EXPECT_EQ(now.free_blocks + now.cached_blocks, now.blocks);
    }
  }
}

TEST(Engine, AFullQueueIsBusyAndSaysSo) {
  Engine engine(toy(), small(2));  // and eight slots
  EngineRequest request = letters("x", 1, 3);
  request.n = 11;
  const std::string error = tessera::testing::error_of([&] { engine.submit(request, {}); });
  EXPECT_NE(error.find("queue is full"), std::string::npos) << error;
  EXPECT_FALSE(engine.full());
  request.n = 10;
  EXPECT_EQ(engine.run(request).size(), 10U);
  EXPECT_THROW(Engine(toy(), small(-1)), Error);
}

TEST(Engine, WithoutAQueueOnlyFreeSlotsAreTaken) {
  Engine engine(toy(), small(0));
  std::promise<void> begun;
  std::promise<void> go_on;
  std::shared_future<void> may_go_on = go_on.get_future().share();
  std::atomic<bool> first{true};
  EngineRequest request = letters("all eight slots", 1, 30);
  request.n = 8;
  std::atomic<int> ended{0};
  std::promise<void> done;
  engine.submit(request, [&](const EngineEvent& event) {
    if (first.exchange(false)) {
      begun.set_value();
      may_go_on.wait();  // the engine stands still in its first pass
    }
    if (event.result != nullptr && ++ended == 8) done.set_value();
  });
  EXPECT_TRUE(engine.full());
  begun.get_future().wait();
  const std::string error = tessera::testing::error_of([&] { engine.submit(letters("y", 2, 1), {}); });
  EXPECT_NE(error.find("queue is full"), std::string::npos) << error;
  go_on.set_value();
  done.get_future().wait();
  EXPECT_EQ(engine.run(letters("y", 2, 1)).size(), 1U);
}

TEST(Engine, ProgressOfAPromptIsToldUntilItsFirstToken) {
  Engine engine(toy(), small());
  EngineRequest request = letters(std::string(100, 'p'), 1, 3);  // 48 tokens a pass
  request.wants_progress = true;
  std::vector<PromptProgress> told;
  std::promise<void> done;
  engine.submit(request, [&](const EngineEvent& event) {
    if (event.progress) told.push_back(*event.progress);
    if (event.result != nullptr) done.set_value();
  });
  done.get_future().wait();
  ASSERT_GE(told.size(), 2U);
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(told[i].prompt_tokens, 100);
    EXPECT_EQ(told[i].cached_tokens, 0);
    if (i > 0) {
      EXPECT_GT(told[i].done_tokens, told[i - 1].done_tokens);
    }
  }
  EXPECT_EQ(told.back().done_tokens, 100);
}

TEST(Engine, ASinkThatThrowsEndsItsOwnRequestAlone) {
  Engine engine(toy(), small());
  engine.submit(letters("thrown away", 1, 100), [](const EngineEvent&) { throw std::runtime_error("gone"); });
  const EngineRequest request = letters("kept", 2, 30);
  expect_same_text(engine.run(request).front(), alone(request, kContext).front());
  engine.drain();
  EXPECT_EQ(engine.statistics().finished, 2);
}

TEST(Engine, DrainFinishesWhatThereIsAndStopEndsIt) {
  std::atomic<int> complete{0};
  std::atomic<int> ended{0};
  const EventSink count = [&](const EngineEvent& event) {
    if (event.result == nullptr) return;
    ++ended;
    if (event.result->finish_reason == FinishReason::length) ++complete;
  };
  {
    Engine engine(toy(), small());
    for (std::uint64_t i = 0; i < 20; ++i) engine.submit(letters("until the end", i, 20), count);
    engine.drain();
    EXPECT_EQ(complete, 20);
    const std::string error = tessera::testing::error_of([&] { engine.submit(letters("late", 1, 1), {}); });
    EXPECT_NE(error.find("stopping"), std::string::npos) << error;
  }
  ended = 0;
  {
    Engine engine(toy(), small());
    for (std::uint64_t i = 0; i < 20; ++i) engine.submit(letters("cut short", i, 100), count);
  }
  EXPECT_EQ(ended, 20);
}

// A model that fails when it meets a certain token.
class FailingModel final : public models::Model {
 public:
  const models::ModelConfig& config() const override { return toy_.config(); }
  Tensor forward(const RaggedBatch& batch, nn::AttentionMechanism& attention) const override {
    if (std::ranges::find(batch.tokens, TokenId{'!'}) != batch.tokens.end()) {
      fail(ErrorKind::limit, "no memory for this pass");
    }
    return toy_.forward(batch, attention);
  }
  Tensor logits(const Tensor& hidden) const override { return toy_.logits(hidden); }
  std::int64_t parameter_count() const override { return 0; }
  std::size_t parameter_bytes() const override { return 0; }

 private:
  testing::ToyModel toy_;
};

TEST(Engine, APassThatFailsEndsItsAnswersWithTheReasonAndTheEngineGoesOn) {
  Engine engine(testing::loaded_with(std::make_shared<FailingModel>()), small());
  const std::string error = tessera::testing::error_of([&] { engine.run(letters("this fails!", 1, 10)); });
  EXPECT_NE(error.find("no memory for this pass"), std::string::npos) << error;
  const EngineRequest request = letters("this does not", 1, 10);
  expect_same_text(engine.run(request).front(), alone(request, kContext).front());
  engine.drain();
  EXPECT_EQ(engine.statistics().failed, 1);
  EXPECT_EQ(engine.statistics().free_blocks + engine.statistics().cached_blocks, engine.statistics().blocks);
}

}  // namespace
}  // namespace tessera::engine
