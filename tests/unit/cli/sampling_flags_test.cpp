#include "cli/sampling_flags.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cmath>

#include "base/error.h"

namespace tessera::cli {
namespace {

engine::SamplingOptions parse(std::vector<std::string> arguments,
                              const engine::GenerationDefaults& defaults = {},
                              const engine::SamplingOptions& fallback = {}) {
  CLI::App app;
  SamplingFlags flags;
  add_sampling_flags(app, flags);
  std::reverse(arguments.begin(), arguments.end());
  app.parse(arguments);
  return sampling_options(flags, defaults, fallback);
}

TEST(SamplingFlagsTest, FlagsWinOverTheModelAndItOverTheFallback) {
  engine::GenerationDefaults defaults;
  defaults.temperature = 0.6F;
  defaults.top_k = 20;
  engine::SamplingOptions fallback;
  fallback.temperature = 0.8F;
  fallback.min_p = 0.05F;
  const auto options = parse({"--top-k", "7"}, defaults, fallback);
  EXPECT_EQ(options.temperature, 0.6F);
  EXPECT_EQ(options.top_k, 7);
  EXPECT_EQ(options.min_p, 0.05F);
  EXPECT_EQ(parse({"--temp", "0"}, defaults, fallback).temperature, 0.0F);
}

TEST(SamplingFlagsTest, SeedsAreTakenOrMade) {
  EXPECT_EQ(parse({"-s", "9223372036854775807"}).seed, 9223372036854775807ULL);
  EXPECT_NE(parse({}).seed, parse({"-s", "-1"}).seed);  // equal once in 2^32 runs
  EXPECT_THROW(parse({"-s", "-2"}), Error);
}

TEST(SamplingFlagsTest, LogitBias) {
  const auto options = parse({"--logit-bias", "15:-1.5", "--logit-bias", "3:+2", "--logit-bias", "4:-inf"});
  ASSERT_EQ(options.logit_bias.size(), 3U);
  EXPECT_EQ(options.logit_bias[0], (std::pair<TokenId, float>{15, -1.5F}));
  EXPECT_EQ(options.logit_bias[1], (std::pair<TokenId, float>{3, 2.0F}));
  EXPECT_TRUE(std::isinf(options.logit_bias[2].second));
  for (const char* bad : {"15", "15:", ":1", "a:1", "15:1x", "15:+", ""}) {
    EXPECT_THROW(parse({"--logit-bias", bad}), Error) << bad;
  }
}

TEST(SamplingFlagsTest, WordsWhereNumbersBelongAreRefused) {
  EXPECT_THROW(parse({"--temp", "warm"}), CLI::ParseError);
  EXPECT_THROW(parse({"--top-k", "1.5"}), CLI::ParseError);
  EXPECT_THROW(parse({"--seed", "1e3"}), CLI::ParseError);
}

}  // namespace
}  // namespace tessera::cli
