#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "support/test_paths.h"

namespace tessera::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

SamplingOptions options_from(const nlohmann::json& json) {
  SamplingOptions options;
  options.temperature = json.value("temperature", 1.0F);
  options.top_k = json.value("top_k", 0);
  options.top_p = json.value("top_p", 1.0F);
  options.min_p = json.value("min_p", 0.0F);
  options.typical_p = json.value("typical_p", 1.0F);
  options.repetition_penalty = json.value("repetition_penalty", 1.0F);
  options.presence_penalty = json.value("presence_penalty", 0.0F);
  options.frequency_penalty = json.value("frequency_penalty", 0.0F);
  options.penalty_window = json.value("penalty_window", -1);
  for (const auto& pair : json.value("logit_bias", nlohmann::json::array())) {
    options.logit_bias.emplace_back(pair[0].get<TokenId>(), pair[1].get<float>());
  }
  return options;
}

TEST(Sampler, DistributionsEqualTransformersLogitsProcessors) {
  std::ifstream file(testing::golden_dir() / "sampler" / "distributions.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  ASSERT_GE(golden["cases"].size(), 40U);
  for (const auto& item : golden["cases"]) {
    SCOPED_TRACE(item["options"].dump());
    const auto logits = item["logits"].get<std::vector<float>>();
    const auto history = item["history"].get<std::vector<TokenId>>();
    Sampler sampler(options_from(item["options"]), static_cast<std::int64_t>(logits.size()));
    const auto found = sampler.distribution(logits, history, item["generated"].get<std::int64_t>());
    ASSERT_EQ(found.size(), item["expected"].size());
    std::map<TokenId, double> by_token(found.begin(), found.end());
    for (const auto& pair : item["expected"]) {
      const auto token = pair[0].get<TokenId>();
      const double expected = pair[1].get<double>();
      ASSERT_TRUE(by_token.contains(token));
      // The oracle computes in float64. Ours rounds each adjusted logit and option to float32: |logit| <= 32
      // and a few roundings of 2^-24 each move a logit by less than 1e-5, and a probability by that share.
      EXPECT_NEAR(by_token[token], expected, 2e-5 * expected + 1e-12);
    }
  }
}

TEST(Sampler, GreedyTakesTheLowestIdOfATieAndSkipsNaN) {
  Sampler sampler({.temperature = 0}, 5);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, kNaN, 7, 7, -3}, {}, 0).token, 2);
  EXPECT_EQ(sampler.sample(std::vector<float>{kNaN, -kInfinity, -5, kNaN, kNaN}, {}, 0).token, 2);
  EXPECT_EQ(sampler.sample(std::vector<float>{0, 1, 2, kInfinity, 4}, {}, 0).token, 3);
}

TEST(Sampler, NothingLeftIsAnError) {
  for (const float temperature : {0.0F, 1.0F}) {
    Sampler sampler({.temperature = temperature}, 2);
    EXPECT_THROW(sampler.sample(std::vector<float>{kNaN, -kInfinity}, {}, 0), Error);
  }
}

TEST(Sampler, NaNAndInfinityNeverWinADraw) {
  Sampler sampler({.temperature = 1.0F, .seed = 3}, 6);
  for (int i = 0; i < 200; ++i) {
    const TokenId token = sampler.sample(std::vector<float>{kNaN, 1, -kInfinity, 2, kNaN, 0}, {}, 0).token;
    EXPECT_TRUE(token == 1 || token == 3 || token == 5) << token;
    EXPECT_EQ(sampler.sample(std::vector<float>{0, 1, kInfinity, 2, 3, -1}, {}, 0).token, 2);
  }
}

TEST(Sampler, TinyTemperatureIsGreedyWithoutOverflow) {
  Sampler sampler({.temperature = std::numeric_limits<float>::denorm_min()}, 4);
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(sampler.sample(std::vector<float>{-1e30F, 3e38F, 1, 2}, {}, 0).token, 1);
}

TEST(Sampler, IdsBeyondTheVocabularyAreNeverSampled) {
  Sampler sampler({.temperature = 0}, 3);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 5, 2, 100, 100}, {}, 0).token, 1);
}

TEST(Sampler, TopKKeepsExactlyKOnATie) {
  Sampler sampler({.top_k = 2}, 4);
  const auto kept = sampler.distribution(std::vector<float>{1, 1, 1, 0}, {}, 0);
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(kept[0].first, 0);
  EXPECT_EQ(kept[1].first, 1);
  EXPECT_EQ(kept[0].second, 0.5);
}

// Large vocabularies take the path that sorts in parts: it must keep what a full sort keeps.
TEST(Sampler, TopPOfALargeVocabularyEqualsAFullSort) {
  constexpr std::int64_t kVocabulary = 5000;
  RandomBits random(11);
  for (const float spread : {0.001F, 0.5F, 8.0F}) {
    std::vector<float> logits;
    for (std::int64_t i = 0; i < kVocabulary; ++i)
      logits.push_back(spread * static_cast<float>(random.uniform()));
    Sampler all({}, kVocabulary);
    const auto sorted = all.distribution(logits, {}, 0);
    Sampler sampler({.top_p = 0.7F}, kVocabulary);
    const auto kept = sampler.distribution(logits, {}, 0);
    double mass = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      EXPECT_EQ(kept[i].first, sorted[i].first);
      EXPECT_LT(mass, 0.7F);
      mass += sorted[i].second;
    }
    EXPECT_GE(mass, 0.7F - 1e-9);
  }
}

TEST(Sampler, SameSeedSameTokensOtherSeedOthers) {
  const std::vector<float> logits(100, 0.0F);
  const auto draw = [&](std::uint64_t seed) {
    Sampler sampler({.seed = seed}, 100);
    std::vector<TokenId> tokens;
    for (int i = 0; i < 20; ++i) tokens.push_back(sampler.sample(logits, {}, 0).token);
    return tokens;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

// Pearson's chi-squared test with 7 degrees of freedom: 24.3 is passed by chance once in a thousand seeds;
// the seed is fixed, so this either always passes or always fails.
TEST(Sampler, DrawsFollowTheDistribution) {
  const std::vector<float> logits{0, 0.5F, 1, 1.5F, 2, -1, -2, 0.25F};
  Sampler sampler({.temperature = 0.9F, .seed = 5}, 8);
  const auto expected = sampler.distribution(logits, {}, 0);
  std::map<TokenId, int> counts;
  constexpr int kDraws = 20'000;
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.sample(logits, {}, 0).token];
  double chi_squared = 0;
  for (const auto& [token, probability] : expected) {
    const double wanted = probability * kDraws;
    chi_squared += (counts[token] - wanted) * (counts[token] - wanted) / wanted;
  }
  EXPECT_LT(chi_squared, 24.3);
}

// First outputs for the state that splitmix64 makes of seed 0; the generators' authors publish these
// algorithms, and the values were checked against an independent implementation in Python integers.
TEST(RandomBits, IsXoshiro256StarStarSeededBySplitmix64) {
  RandomBits random(0);
  EXPECT_EQ(random.next(), 0x99ec5f36cb75f2b4U);
  EXPECT_EQ(random.next(), 0xbf6e1f784956452aU);
  EXPECT_EQ(random.next(), 0x1a5f849d4933e6e0U);
}

TEST(Sampler, LogprobsAreOfTheModelsOwnDistribution) {
  const std::vector<float> logits{1, 2, 3, kNaN, -kInfinity};
  Sampler sampler({.temperature = 0, .logit_bias = {{2, -kInfinity}}, .logprobs = 2}, 5);
  const SampledToken sampled = sampler.sample(logits, {}, 0);
  EXPECT_EQ(sampled.token, 1);
  const double log_sum = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0));
  EXPECT_NEAR(sampled.logprob, 2 - log_sum, 1e-6);
  ASSERT_EQ(sampled.top.size(), 2U);
  EXPECT_EQ(sampled.top[0].token, 2);
  EXPECT_NEAR(sampled.top[0].logprob, 3 - log_sum, 1e-6);
  EXPECT_EQ(sampled.top[1].token, 1);
}

TEST(Sampler, PenaltiesLookNoFurtherThanTheWindow) {
  const std::vector<float> logits{2, 1.9F, 0};
  const std::vector<TokenId> history{0, 2, 2, 2};
  Sampler all({.temperature = 0, .repetition_penalty = 2}, 3);
  EXPECT_EQ(all.sample(logits, history, 0).token, 1);
  Sampler near({.temperature = 0, .repetition_penalty = 2, .penalty_window = 3}, 3);
  EXPECT_EQ(near.sample(logits, history, 0).token, 0);
  // What the user wrote does not count for presence.
  Sampler presence({.temperature = 0, .presence_penalty = 50}, 3);
  EXPECT_EQ(presence.sample(logits, history, 3).token, 0);
  EXPECT_EQ(presence.sample(logits, history, 4).token, 1);
}

struct BadField {
  SamplingOptions options;
  const char* field;
};

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  const std::vector<BadField> cases{
      {{.temperature = -1}, "temperature"},
      {{.temperature = kNaN}, "temperature"},
      {{.temperature = kInfinity}, "temperature"},
      {{.top_k = -1}, "top_k"},
      {{.top_p = 0}, "top_p"},
      {{.top_p = 1.5F}, "top_p"},
      {{.top_p = kNaN}, "top_p"},
      {{.min_p = -0.1F}, "min_p"},
      {{.typical_p = 0}, "typical_p"},
      {{.repetition_penalty = 0}, "repetition_penalty"},
      {{.presence_penalty = kNaN}, "presence_penalty"},
      {{.frequency_penalty = 1e9F}, "frequency_penalty"},
      {{.penalty_window = -2}, "penalty_window"},
      {{.logit_bias = {{10, 1.0F}}}, "logit_bias"},
      {{.logit_bias = {{-1, 1.0F}}}, "logit_bias"},
      {{.logit_bias = {{1, kNaN}}}, "logit_bias"},
      {{.logprobs = 100'000}, "logprobs"},
  };
  for (const BadField& item : cases) {
    try {
      check(item.options, 10);
      ADD_FAILURE() << item.field << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_usage);
      EXPECT_EQ(std::string(error.what()).find(item.field), 0U) << error.what();
    }
  }
  EXPECT_NO_THROW(check({.logit_bias = {{9, -kInfinity}}}, 10));
}

}  // namespace
}  // namespace tessera::engine
