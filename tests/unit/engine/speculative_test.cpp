#include "engine/speculative.h"

#include <gtest/gtest.h>

#include <random>

#include "toy_text.h"

namespace tessera::engine {
namespace {

using testing::bytes_of;
using testing::kImEnd;
using testing::loaded_with;
using testing::ScriptedModel;
using testing::ToyModel;

// Guesses whatever it finds, so that tests do not depend on how long a pass takes.
constexpr SpeculativeOptions kAlways{.prompt_lookup = true, .draft_max = 6, .least_gain = 0};

TEST(Drafter, GuessesWhatFollowedBeforeAndGoesOnIntoItsOwnGuess) {
  Drafter drafter(kAlways);
  const std::vector<TokenId> tokens{1, 2, 3, 9, 1, 2, 3};
  const auto guess = drafter.propose(tokens, 100, {});
  // What followed "1 2 3" is "9 1 2 3", and then this repeats itself.
  const std::vector<TokenId> expected{9, 1, 2, 3, 9, 1};
  ASSERT_FALSE(guess.empty());
  EXPECT_TRUE(std::ranges::equal(guess, std::span(expected).first(guess.size())));
}

TEST(Drafter, KeepsToItsLimits) {
  const std::vector<TokenId> tokens(100, 5);
  EXPECT_LE(Drafter(kAlways).propose(tokens, 3, {}).size(), 3U);
  EXPECT_TRUE(Drafter(kAlways).propose(tokens, 0, {}).empty());
  EXPECT_TRUE(Drafter(kAlways).propose(tokens, -1, {}).empty());
  EXPECT_LE(Drafter(kAlways).propose(tokens, 1000, {}).size(), 6U);
  EXPECT_TRUE(Drafter({}).propose(tokens, 10, {}).empty());
  EXPECT_THROW(Drafter({.draft_max = 0}), Error);
  EXPECT_THROW(Drafter({.draft_max = kMostDraftTokens + 1}), Error);
}

// Every 2-gram repeats, but what follows is random: guessing must cease, and begin again when the text
// repeats itself.
TEST(Drafter, CeasesWhereGuessesFailAndComesBackWhereTheyHold) {
  std::mt19937 random(3);
  Drafter drafter({.prompt_lookup = true, .draft_max = 16});
  const VerificationCost cost;
  std::vector<TokenId> tokens;
  std::size_t drafted = 0;
  for (int i = 0; i < 400; ++i) {
    tokens.push_back(static_cast<TokenId>(random() % 8));
    drafted += drafter.propose(tokens, 100, cost).size();
  }
  EXPECT_LE(drafted, 8U);
  const std::vector<TokenId> passage(tokens.begin() + 100, tokens.begin() + 200);
  drafted = 0;
  for (const TokenId token : passage) {
    tokens.push_back(token);
    drafted += drafter.propose(tokens, 100, cost).size();
  }
  EXPECT_GE(drafted, 300U);
}

TEST(VerificationCost, LearnsWhatPassesCost) {
  VerificationCost cost;
  EXPECT_EQ(cost.of(1), 1.0);
  EXPECT_GT(cost.of(9), cost.of(2));
  const double before = cost.of(9);
  for (int i = 0; i < 200; ++i) {
    cost.observe(1, 0.010);
    cost.observe(9, 0.012);
  }
  EXPECT_NEAR(cost.of(9), 1.2, 0.05);
  EXPECT_LT(cost.of(9), before);
  for (int i = 0; i < 400; ++i) cost.observe(9, 0.100);
  EXPECT_NEAR(cost.of(9), 10.0, 0.5);
}

// Everything that a caller can see of an answer.
void expect_same(const GenerationResult& found, const GenerationResult& expected) {
  EXPECT_EQ(found.text, expected.text);
  EXPECT_EQ(found.finish_reason, expected.finish_reason);
  EXPECT_EQ(found.stop, expected.stop);
  EXPECT_EQ(found.usage.prompt_tokens, expected.usage.prompt_tokens);
  EXPECT_EQ(found.usage.cached_tokens, expected.usage.cached_tokens);
  EXPECT_EQ(found.usage.completion_tokens, expected.usage.completion_tokens);
  ASSERT_EQ(found.tokens.size(), expected.tokens.size());
  for (std::size_t i = 0; i < found.tokens.size(); ++i) {
    const SampledToken& one = found.tokens[i];
    const SampledToken& other = expected.tokens[i];
    ASSERT_EQ(one.token, other.token) << i;
    ASSERT_EQ(one.logprob, other.logprob) << i;  // the same bits
    ASSERT_EQ(one.top.size(), other.top.size()) << i;
    for (std::size_t k = 0; k < one.top.size(); ++k) {
      ASSERT_EQ(one.top[k].token, other.top[k].token) << i;
      ASSERT_EQ(one.top[k].logprob, other.top[k].logprob) << i;
    }
  }
}

struct Case {
  const char* name;
  Request request;
};

// Letters a to d only, so that the text is full of repetitions, most of which do not go on.
Request letters(SamplingOptions sampling, std::int64_t count = 150) {
  Request request{.prompt = bytes_of("abcabcabdabcdabcabcaad"), .max_new_tokens = count};
  request.sampling = std::move(sampling);
  for (TokenId token = 0; token < 260; ++token) {
    if (token < 'a' || token > 'd') request.sampling.logit_bias.emplace_back(token, -INFINITY);
  }
  return request;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
    for (const float temperature : {0.0F, 0.7F, 3.0F}) {
      all.push_back({"plain", letters({.temperature = temperature, .seed = seed})});
      all.push_back({"penalties", letters({.temperature = temperature,
                                           .top_k = 3,
                                           .repetition_penalty = 1.3F,
                                           .presence_penalty = 0.4F,
                                           .frequency_penalty = 0.1F,
                                           .penalty_window = 20,
                                           .seed = seed})});
      all.push_back({"filters", letters({.temperature = temperature,
                                         .top_p = 0.8F,
                                         .min_p = 0.1F,
                                         .typical_p = 0.9F,
                                         .seed = seed,
                                         .logprobs = 3})});
      all.push_back({"stop", letters({.temperature = temperature, .seed = seed})});
      all.back().request.stop = {"abca", "ddd", "cbd"};
      all.push_back({"context full", letters({.temperature = temperature, .seed = seed}, -1)});
    }
  }
  return all;
}

TEST(Speculative, GivesExactlyThePlainTextTokensAndBlocks) {
  DraftCounts all;
  for (const Case& item : cases()) {
    SCOPED_TRACE(::testing::Message() << item.name << " seed " << item.request.sampling.seed
                                      << " temperature " << item.request.sampling.temperature);
    for (const std::int64_t chunk : {64, 4}) {
      const GeneratorOptions options{.context_size = 200, .prefill_chunk = chunk};
      Generator plain(loaded_with(std::make_shared<ToyModel>()), options);
      Generator fast(loaded_with(std::make_shared<ToyModel>()), options);
      Sequence expected_sequence = plain.new_sequence();
      Sequence sequence = fast.new_sequence();
      const GenerationResult expected = plain.generate(expected_sequence, item.request);
      Request request = item.request;
      request.speculative = kAlways;
      std::string streamed;
      const GenerationResult found =
          fast.generate(sequence, request, [&](const GeneratedPiece& piece) { streamed += piece.text; });
      expect_same(found, expected);
      EXPECT_EQ(streamed, expected.text);
      EXPECT_EQ(sequence.tokens(), expected_sequence.tokens());
      EXPECT_EQ(sequence.cached(), expected_sequence.cached());
      EXPECT_EQ(fast.cache().block_manager().free_blocks(), plain.cache().block_manager().free_blocks());
      EXPECT_LE(found.drafts.accepted, found.drafts.drafted);
      all.drafted += found.drafts.drafted;
      all.accepted += found.drafts.accepted;
    }
  }
  EXPECT_GT(all.accepted, 100);                // guesses held,
  EXPECT_GT(all.drafted - all.accepted, 100);  // and others were taken back
}

TEST(Speculative, ATextThatRepeatsItselfTakesFewPasses) {
  const std::string verse = "row, row, row your boat gently down the stream. ";
  std::vector<TokenId> script;
  for (int i = 0; i < 5; ++i) {
    const auto tokens = bytes_of(verse);
    script.insert(script.end(), tokens.begin(), tokens.end());
  }
  script.push_back(kImEnd);
  Generator generator(loaded_with(std::make_shared<ScriptedModel>(script)), {});
  Sequence sequence = generator.new_sequence();
  const GenerationResult result = generator.generate(
      sequence, {.prompt = bytes_of(verse), .sampling = {.temperature = 0}, .speculative = kAlways});
  EXPECT_EQ(result.finish_reason, FinishReason::end_of_generation);
  EXPECT_EQ(result.text, verse + verse + verse + verse);
  EXPECT_EQ(result.usage.completion_tokens, static_cast<std::int64_t>(verse.size() * 4 + 1));
  EXPECT_EQ(sequence.tokens().back(), kImEnd);
  EXPECT_EQ(sequence.length(), static_cast<std::int64_t>(script.size()));
  EXPECT_GE(result.drafts.accepted, 120);  // of 192 tokens after the prompt
}

TEST(Speculative, ASinkThatThrowsLeavesASequenceThatGoesOn) {
  const std::vector<TokenId> script(200, 'x');
  Generator generator(loaded_with(std::make_shared<ScriptedModel>(script)), {});
  Sequence sequence = generator.new_sequence();
  const Request request{.prompt = std::vector<TokenId>(20, 'x'),
                        .sampling = {.temperature = 0},
                        .max_new_tokens = 60,
                        .speculative = kAlways};
  int pieces = 0;
  EXPECT_THROW(generator.generate(sequence, request,
                                  [&](const GeneratedPiece&) {
                                    if (++pieces == 9) throw std::runtime_error("full");
                                  }),
               std::runtime_error);
  EXPECT_EQ(sequence.cached(), sequence.length() - 1);
  Request rest = request;
  rest.prompt = sequence.tokens();
  rest.max_new_tokens = 10;
  const GenerationResult result = generator.generate(sequence, rest);
  EXPECT_EQ(result.text, std::string(10, 'x'));
  EXPECT_EQ(result.usage.cached_tokens, static_cast<std::int64_t>(rest.prompt.size()) - 1);
}

TEST(Speculative, WhenOthersHoldTheBlocksItGoesOnWithoutGuesses) {
  const std::vector<TokenId> script(200, 'x');
  Generator generator(loaded_with(std::make_shared<ScriptedModel>(script)), {.context_size = 64});
  BlockManager& manager = generator.cache().block_manager();
  ASSERT_EQ(manager.num_blocks(), 4);
  Sequence other = generator.new_sequence();
  std::vector<BlockCopy> copies;
  other.table().append(32, copies);
  Sequence sequence = generator.new_sequence();
  const Request request{.prompt = std::vector<TokenId>(20, 'x'),
                        .sampling = {.temperature = 0},
                        .max_new_tokens = 12,
                        .speculative = {.prompt_lookup = true, .draft_max = 16, .least_gain = 0}};
  EXPECT_EQ(generator.generate(sequence, request).text, std::string(12, 'x'));
  other.truncate(0);
  sequence.truncate(0);
  EXPECT_EQ(manager.free_blocks(), 4);
}

}  // namespace
}  // namespace tessera::engine
