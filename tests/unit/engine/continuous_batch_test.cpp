#include "engine/continuous_batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "engine_fixture.h"

namespace tessera::engine {
namespace {

using testing::alone;
using testing::Collected;
using testing::expect_same_text;
using testing::letters;
using testing::random_request;
using testing::toy;

constexpr std::int64_t kContext = 128;

EngineOptions options(std::int64_t cache_tokens, SchedulerOptions scheduler = {}) {
  return {.context_size = kContext, .cache_tokens = cache_tokens, .scheduler = scheduler, .pass_seconds = 0};
}

struct Pool {
  const char* name;
  EngineOptions options;
};
void PrintTo(const Pool& pool, std::ostream* out) { *out << pool.name; }

class AnyPool : public ::testing::TestWithParam<Pool> {};

// Blocks enough for everybody; for a quarter of what is asked at a time; for one context and not a block
// more.
INSTANTIATE_TEST_SUITE_P(
    Pools, AnyPool,
    ::testing::Values(Pool{"ample", options(8 * kContext, {.max_batch_tokens = 64, .max_sequences = 8})},
                      Pool{"ample_in_small_passes",
                           options(8 * kContext, {.max_batch_tokens = 24, .max_sequences = 8})},
                      Pool{"a_quarter", options(2 * kContext, {.max_batch_tokens = 48, .max_sequences = 16})},
                      Pool{"one_context", options(kContext, {.max_batch_tokens = 40, .max_sequences = 12})}),
    [](const auto& pool) { return pool.param.name; });

TEST_P(AnyPool, EverybodyGetsTheTextThatTheRequestGivesAlone) {
  std::mt19937 random(23);
  Collected run(GetParam().options);
  std::map<RequestId, EngineRequest> asked;
  std::set<RequestId> cancelled;
  for (int round = 0; round < 700; ++round) {
    if (random() % 3 == 0 && asked.size() < 160) {
      const EngineRequest request = random_request(random, 90);
      asked[run.add(request)] = request;
    }
    if (random() % 25 == 0 && !asked.empty()) {
      const RequestId id = 1 + random() % asked.size();
      cancelled.insert(id);
      run.cancel(id);
    }
    run.step();
  }
  run.finish();
  ASSERT_EQ(asked.size(), 160U);
  std::size_t compared = 0;
  for (const auto& [id, request] : asked) {
    const auto expected = cancelled.contains(id) ? std::vector<GenerationResult>() : alone(request, kContext);
    for (std::int64_t i = 0; i < request.n; ++i) {
      SCOPED_TRACE(::testing::Message() << "request " << id << " answer " << i);
      ASSERT_TRUE(run.results.contains({id, i}));
      EXPECT_EQ(run.errors.at({id, i}), "");
      const std::string streamed = run.streamed[{id, i}];
      EXPECT_EQ(streamed, run.result(id, i).text);
      if (cancelled.contains(id)) continue;
      expect_same_text(run.result(id, i), expected[static_cast<std::size_t>(i)]);
      ++compared;
    }
  }
  EXPECT_GT(compared, 150U);
  const EngineStatistics statistics = run.batch.statistics();
  EXPECT_GT(statistics.preemptions, 20);  // higher priorities take the slots of lower ones, too
  EXPECT_GT(statistics.drafts.accepted, 20);
  EXPECT_GT(statistics.drafts.drafted, statistics.drafts.accepted);
  EXPECT_EQ(statistics.failed, 0);
  EXPECT_GT(statistics.cached_tokens, 0);  // how many depends on when blocks were given up
  run.expect_nothing_held();
}

// Prompts of nothing but one's own canary letter, salts of one's own: nobody's text may hold another's.
TEST_P(AnyPool, NobodySeesWhatIsNotHisOwn) {
  std::mt19937 random(29);
  Collected run(GetParam().options);
  std::map<RequestId, EngineRequest> asked;
  for (int i = 0; i < 64; ++i) {
    const char canary = static_cast<char>('A' + i % 26);
    EngineRequest request = letters("common beginning " + std::string(20 + random() % 20, canary), 5, 30);
    for (auto& [token, bias] : request.request.sampling.logit_bias) {
      if (token >= 'A' && token <= 'Z') bias = 0;  // every canary could be said
    }
    request.salt = std::string(1, canary);
    asked[run.add(request)] = request;
    if (random() % 4 == 0) run.cancel(1 + random() % asked.size());
    run.step();
  }
  run.finish();
  for (const auto& [id, request] : asked) {
    if (run.result(id).finish_reason == FinishReason::cancelled) continue;
    expect_same_text(run.result(id), alone(request, kContext).front());
  }
  run.expect_nothing_held();
}

// Thousands of requests that come, go on for a while and are dropped, in every state.
TEST_P(AnyPool, BlocksReturnExactlyWhateverIsCancelledWhenever) {
  std::mt19937 random(31);
  Collected run(GetParam().options);
  std::vector<RequestId> open;
  for (int operation = 0; operation < 3000; ++operation) {
    switch (random() % 4) {
      case 0:
        open.push_back(run.add(random_request(random, 100)));
        break;
      case 1:
        if (open.size() > random() % 12) {
          const std::size_t at = random() % open.size();
          run.cancel(open[at]);
          open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
        }
        break;
      default:
        run.step();
    }
    const EngineStatistics now = run.batch.statistics();
    ASSERT_LE(now.free_blocks + now.cached_blocks, now.blocks);
    if (operation % 500 == 499) {
      for (const RequestId id : open) run.cancel(id);
      open.clear();
      ASSERT_TRUE(run.batch.idle());
      run.expect_nothing_held();
    }
  }
  const EngineStatistics end = run.batch.statistics();
  EXPECT_EQ(end.waiting, 0);
  EXPECT_EQ(end.running, 0);
  EXPECT_GT(end.cancelled, 100);
  EXPECT_EQ(static_cast<std::size_t>(end.finished), run.results.size());
}

// Twelve sequences that grow to a context each, in blocks for three: they give way to each other again and
// again, and end as if each had been alone.
TEST(ContinuousBatch, APoolOfAQuarterOfTheDemandServesEverybody) {
  Collected run(options(3 * kContext, {.max_batch_tokens = 64, .max_sequences = 12}));
  std::vector<EngineRequest> requests;
  for (int i = 0; i < 12; ++i) {
    requests.push_back(
        letters(std::string(4, static_cast<char>('A' + i)), static_cast<std::uint64_t>(i), -1));
    run.add(requests.back());
  }
  run.finish();
  EXPECT_GT(run.batch.statistics().preemptions, 12);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(run.result(i + 1).finish_reason, FinishReason::context_full);
    expect_same_text(run.result(i + 1), alone(requests[i], kContext).front());
  }
  run.expect_nothing_held();
}

TEST(ContinuousBatch, OnePrefixOfManyColdRequestsIsComputedOnce) {
  const std::string prefix(64, 'q');  // 16 blocks
  Collected run(options(16 * kContext, {.max_batch_tokens = 40, .max_sequences = 8}));
  std::int64_t tails = 0;
  std::vector<RequestId> ids;
  for (int i = 0; i < 8; ++i) {
    const std::string tail = static_cast<char>('A' + i) + std::string(static_cast<std::size_t>(i), 'z');
    tails += static_cast<std::int64_t>(tail.size());
    ids.push_back(run.add(letters(prefix + tail, 1, 5)));
  }
  run.finish();
  const EngineStatistics statistics = run.batch.statistics();
  EXPECT_EQ(statistics.computed_tokens, 64 + tails + 8 * 4);
  EXPECT_EQ(statistics.cached_tokens, 7 * 64);
  for (const RequestId id : ids) EXPECT_EQ(run.result(id).usage.completion_tokens, 5);
}

TEST(ContinuousBatch, AnswersToOnePromptShareIt) {
  Collected run(options(16 * kContext, {.max_batch_tokens = 64, .max_sequences = 8}));
  EngineRequest request = letters("a prompt that is there only once, for all", 7, 10);
  request.n = 5;
  const RequestId id = run.add(request);
  run.finish();
  EXPECT_EQ(run.batch.statistics().computed_tokens,
            static_cast<std::int64_t>(request.request.prompt.size()) + 5 * 9);
  const auto expected = alone(request, kContext);
  std::set<std::string> texts;
  for (std::int64_t i = 0; i < 5; ++i) {
    expect_same_text(run.result(id, i), expected[static_cast<std::size_t>(i)]);
    texts.insert(run.result(id, i).text);
  }
  EXPECT_GT(texts.size(), 1U);  // each has its own seed
}

TEST(ContinuousBatch, MoreAnswersThanSlotsComeOneAfterTheOther) {
  Collected run(options(2 * kContext, {.max_batch_tokens = 32, .max_sequences = 2}));
  EngineRequest request = letters("a prompt for many", 7, 6);
  request.n = 9;
  const RequestId id = run.add(request);
  EXPECT_EQ(run.batch.statistics().waiting, 9);
  run.finish();
  const auto expected = alone(request, kContext);
  for (std::int64_t i = 0; i < 9; ++i) {
    expect_same_text(run.result(id, i), expected[static_cast<std::size_t>(i)]);
  }
  run.expect_nothing_held();
}

// Three turns, taken back, and another question instead: only that is computed.
TEST(ContinuousBatch, AfterUndoOnlyTheNewMessageIsComputed) {
  Collected run(options(16 * kContext));
  std::string text = "system. user: one? ";
  std::string first;
  for (int turn = 0; turn < 4; ++turn) {
    const RequestId id = run.add(letters(text, 3, 9));
    run.finish();
    text += run.result(id).text;
    if (turn == 0) first = text;
    text += " user: more? ";
  }
  const RequestId again = run.add(letters(first + " user: other? ", 4, 5));
  run.finish();
  // All of the first turn but its last token, which no pass has computed, and the first token of the
  // question, which the old one had too.
  EXPECT_GE(run.result(again).usage.cached_tokens, static_cast<std::int64_t>(first.size()) - 1);
  EXPECT_LE(run.result(again).timings.prefill_tokens,
            static_cast<std::int64_t>(std::string(" user: other? ").size()) + 1);
}

TEST(ContinuousBatch, AClientWithLittleToDoDoesNotWaitForOneWithMuch) {
  Collected run(options(16 * kContext, {.max_batch_tokens = 64, .max_sequences = 3}));
  std::vector<RequestId> many;
  for (int i = 0; i < 30; ++i) {
    EngineRequest request = letters("from the busy one", static_cast<std::uint64_t>(i), 10);
    request.client = "busy";
    many.push_back(run.add(request));
  }
  for (int i = 0; i < 5; ++i) run.step();
  std::set<RequestId> few;
  for (int i = 0; i < 4; ++i) {
    EngineRequest request = letters("from the other", static_cast<std::uint64_t>(i), 10);
    request.client = "other";
    few.insert(run.add(request));
  }
  run.finish();
  std::size_t last = 0;
  for (std::size_t i = 0; i < run.order.size(); ++i) {
    if (few.contains(run.order[i])) last = i;
  }
  EXPECT_LT(last, 14U) << "of 34; first come, first served would be 33";
}

TEST(ContinuousBatch, AHigherPriorityTakesThePlaceOfALowerAndNobodysTextChanges) {
  Collected run(options(16 * kContext, {.max_batch_tokens = 64, .max_sequences = 2}));
  std::vector<EngineRequest> requests;
  for (int i = 0; i < 6; ++i)
    requests.push_back(letters("an ordinary one", static_cast<std::uint64_t>(i), 20));
  std::vector<RequestId> ids;
  for (const EngineRequest& request : requests) ids.push_back(run.add(request));
  for (int i = 0; i < 3; ++i) run.step();
  EngineRequest urgent = letters("an urgent one", 9, 20);
  urgent.priority = 1;
  const RequestId id = run.add(urgent);
  run.finish();
  EXPECT_LE(std::ranges::find(run.order, id) - run.order.begin(), 1);
  EXPECT_EQ(run.batch.statistics().preemptions, 1);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    expect_same_text(run.result(ids[i]), alone(requests[i], kContext).front());
  }
}

TEST(ContinuousBatch, DecodingGoesOnInEveryPassWhileALongPromptIsComputed) {
  Collected run(options(16 * kContext, {.max_batch_tokens = 24, .max_sequences = 4}));
  const RequestId stream = run.add(letters("short", 1, 100));
  run.step();
  run.step();
  run.add(letters(std::string(110, 'p'), 1, 3));
  for (int pass = 0; pass < 5; ++pass) {
    const std::string before = run.streamed[std::pair(stream, 0)];
    run.step();
    EXPECT_EQ(run.streamed[std::pair(stream, 0)].size(), before.size() + 1);
  }
}

TEST(ContinuousBatch, BadRequestsAreNamedAndChangeNothing) {
  Collected run(options(kContext));
  const auto error_kind = [&](const EngineRequest& request) {
    try {
      run.batch.make_task(1, request);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::internal;
  };
  EngineRequest request = letters("x", 1, 1);
  request.n = 0;
  EXPECT_EQ(error_kind(request), ErrorKind::bad_usage);
  request.n = kMostAnswers + 1;
  EXPECT_EQ(error_kind(request), ErrorKind::bad_usage);
  EXPECT_EQ(error_kind(letters(std::string(kContext, 'x'), 1, 1)), ErrorKind::limit);
  EXPECT_EQ(error_kind(letters("", 1, 1)), ErrorKind::bad_usage);
  EXPECT_EQ(error_kind(letters("x", 1, -2)), ErrorKind::bad_usage);
  EXPECT_TRUE(run.batch.idle());
  EXPECT_THROW(ContinuousBatch(toy(), options(kContext - 1)), Error);
  EXPECT_THROW(ContinuousBatch(toy(), options(kContext, {.max_batch_tokens = 20, .max_sequences = 8})),
               Error);
  EXPECT_THROW(ContinuousBatch(toy(), options(kContext, {.max_sequences = 0})), Error);
}

TEST(ContinuousBatch, NoTokensAreAnAnswerToo) {
  Collected run(options(kContext));
  EngineRequest request = letters("x", 1, 0);
  request.n = 2;
  const RequestId id = run.add(request);
  run.finish();
  EXPECT_EQ(run.result(id, 0).finish_reason, FinishReason::length);
  EXPECT_EQ(run.result(id, 1).finish_reason, FinishReason::length);
  EXPECT_EQ(run.batch.statistics().computed_tokens, 0);
}

}  // namespace
}  // namespace tessera::engine
