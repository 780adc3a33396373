// Requests of every kind on the toy model, what each gives alone, and a batch that collects what they give
// together.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/continuous_batch.h"
#include "toy_text.h"

namespace tessera::engine::testing {

inline std::shared_ptr<const LoadedModel> toy() {
  static const std::shared_ptr<const LoadedModel> loaded = loaded_with(std::make_shared<ToyModel>());
  return loaded;
}

// Letters a to d only: the same few tokens again and again, so that guesses are made and stop strings found.
inline EngineRequest letters(std::string_view prompt, std::uint64_t seed, std::int64_t count,
                             float temperature = 1.5F) {
  EngineRequest asked;
  asked.request.prompt = bytes_of(prompt);
  asked.request.max_new_tokens = count;
  asked.request.sampling.temperature = temperature;
  asked.request.sampling.seed = seed;
  for (TokenId token = 0; token < 260; ++token) {
    if (token < 'a' || token > 'd') asked.request.sampling.logit_bias.emplace_back(token, -INFINITY);
  }
  return asked;
}

// Prompts that begin alike more often than not.
inline EngineRequest random_request(std::mt19937& random, std::size_t longest_prompt) {
  static const std::string kPrefixes[] = {"", "abcabcabcdabcd ", std::string(40, 'x') + "dcba",
                                          "the same long system message for everybody, word for word; "};
  std::string prompt = kPrefixes[random() % 4];
  const std::size_t more = 1 + random() % 30;
  for (std::size_t i = 0; i < more; ++i) prompt += static_cast<char>('a' + random() % 4);
  prompt.resize(std::min(prompt.size(), longest_prompt));
  EngineRequest asked = letters(prompt, random() % 1000, 1 + static_cast<std::int64_t>(random() % 40),
                                random() % 3 == 0 ? 0.0F : 1.5F);
  SamplingOptions& sampling = asked.request.sampling;
  if (random() % 3 == 0) sampling.frequency_penalty = 0.3F;
  if (random() % 3 == 0) sampling.repetition_penalty = 1.2F;
  if (random() % 3 == 0) sampling.top_k = 3;
  if (random() % 4 == 0) sampling.logprobs = 2;
  if (random() % 3 == 0) asked.request.stop = {"abad", "cc", "ddb"};
  if (random() % 2 == 0) asked.request.speculative = {.prompt_lookup = true, .draft_max = 5, .least_gain = 0};
  asked.n = random() % 5 == 0 ? 3 : 1;
  asked.priority = static_cast<std::int32_t>(random() % 3);
  asked.client = std::string(1, static_cast<char>('A' + random() % 3));
  asked.salt = random() % 2 == 0 ? asked.client : "";
  return asked;
}

// The answers that the request gives alone, without a batch, a prefix cache or guesses.
inline std::vector<GenerationResult> alone(const EngineRequest& asked, std::int64_t context_size) {
  std::vector<GenerationResult> results;
  for (std::int64_t i = 0; i < asked.n; ++i) {
    Generator generator(toy(), {.context_size = context_size});
    Sequence sequence = generator.new_sequence();
    Request request = asked.request;
    request.sampling.seed += static_cast<std::uint64_t>(i);
    request.speculative = {};
    results.push_back(generator.generate(sequence, request));
  }
  return results;
}

inline void expect_same_text(const GenerationResult& found, const GenerationResult& expected) {
  EXPECT_EQ(found.text, expected.text);
  EXPECT_EQ(found.finish_reason, expected.finish_reason);
  EXPECT_EQ(found.stop, expected.stop);
  EXPECT_EQ(found.usage.prompt_tokens, expected.usage.prompt_tokens);
  EXPECT_EQ(found.usage.completion_tokens, expected.usage.completion_tokens);
  ASSERT_EQ(found.tokens.size(), expected.tokens.size());
  for (std::size_t i = 0; i < found.tokens.size(); ++i) {
    ASSERT_EQ(found.tokens[i].token, expected.tokens[i].token) << i;
    ASSERT_EQ(found.tokens[i].logprob, expected.tokens[i].logprob) << i;  // the same bits
    ASSERT_EQ(found.tokens[i].top.size(), expected.tokens[i].top.size()) << i;
  }
}

// A batch in the test's own thread, and everything it has told.
struct Collected {
  explicit Collected(const EngineOptions& options) : batch(toy(), options) {}

  RequestId add(const EngineRequest& asked) {
    const RequestId id = next_id++;
    batch.add(batch.make_task(id, asked));
    return id;
  }
  EventSink sink() {
    return [this](const EngineEvent& event) {
      const auto key = std::pair(event.request, event.choice);
      EXPECT_FALSE(results.contains(key)) << "an event after the last one";
      for (const GeneratedPiece& piece : event.pieces) streamed[key] += piece.text;
      if (event.result == nullptr) return;
      results[key] = *event.result;
      errors[key] = event.error;
      order.push_back(event.request);
    };
  }
  void step() { batch.step(sink()); }
  void cancel(RequestId id) { batch.cancel(id, sink()); }
  void finish() {
    for (int step_count = 0; !batch.idle(); ++step_count) {
      ASSERT_LT(step_count, 20000) << "no end";
      step();
    }
  }
  const GenerationResult& result(RequestId id, std::int64_t choice = 0) { return results.at({id, choice}); }

  // Every block is free, or holds a prefix that nobody uses.
  void expect_nothing_held() {
    const EngineStatistics now = batch.statistics();
    EXPECT_EQ(now.free_blocks + now.cached_blocks, now.blocks);
    EXPECT_EQ(batch.scheduler().prefix_cache().size(), now.cached_blocks);
    batch.clear_prefix_cache();
    EXPECT_EQ(batch.statistics().free_blocks, now.blocks);
  }

  ContinuousBatch batch;
  RequestId next_id = 1;
  std::map<std::pair<RequestId, std::int64_t>, GenerationResult> results;
  std::map<std::pair<RequestId, std::int64_t>, std::string> streamed;
  std::map<std::pair<RequestId, std::int64_t>, std::string> errors;
  std::vector<RequestId> order;  // as answers ended
};

}  // namespace tessera::engine::testing
