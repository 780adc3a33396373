#include "engine/benchmark.h"

#include <gtest/gtest.h>

#include "toy_text.h"

namespace tessera::engine {
namespace {

using testing::loaded_with;
using testing::ToyModel;

TEST(Benchmark, RunsEveryCaseAndCountsItsWork) {
  Generator generator(loaded_with(std::make_shared<ToyModel>(300, 128)),
                      {.cache_key_dtype = DType::f16, .cache_value_dtype = DType::f16});
  int told = 0;
  const auto results = run_benchmark(
      generator, {.prefill_lengths = {8}, .decode_depths = {0, 100}, .decode_tokens = 4, .repetitions = 2},
      [&](const BenchmarkResult&) { ++told; });
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(told, 3);
  for (const BenchmarkResult& result : results) {
    EXPECT_GT(result.fastest, 0) << result.name;
    EXPECT_LE(result.fastest, result.seconds) << result.name;
    EXPECT_LE(result.seconds, result.slowest) << result.name;
  }
  const double weights = static_cast<double>(generator.loaded().model->parameter_bytes());
  // One token: layer 0 has 2 heads, layer 1 has 1, keys of 8 elements and values padded to 16, 2 bytes each.
  constexpr double kToken = (2 + 1) * (8 + 16) * 2;
  EXPECT_DOUBLE_EQ(results[0].bytes, weights + 8 * kToken);
  EXPECT_DOUBLE_EQ(results[1].bytes, 4 * weights + (1 + 2 + 3 + 4) * kToken);
  EXPECT_DOUBLE_EQ(results[2].bytes - results[1].bytes, 4 * 100 * kToken);
  // Attention of one query and one key: 4 heads of 8, q k and p v, two flops a multiply-add, two layers.
  EXPECT_DOUBLE_EQ(results[2].flops - results[1].flops, 4 * 100 * 2.0 * (4 * 4 * 8));
}

TEST(Benchmark, SequencesOfABatchShareTheWeightsAndNothingElse) {
  Generator generator(loaded_with(std::make_shared<ToyModel>(300, 128)),
                      {.cache_key_dtype = DType::f16, .cache_value_dtype = DType::f16});
  const auto results = run_benchmark(
      generator, {.batch_sizes = {1, 3}, .batch_depth = 20, .decode_tokens = 4, .repetitions = 1});
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].name, "batch 1 @20");
  EXPECT_EQ(results[1].tokens, 3 * results[0].tokens);
  EXPECT_DOUBLE_EQ(results[1].flops, 3 * results[0].flops);
  const double weights = 4 * static_cast<double>(generator.loaded().model->parameter_bytes());
  EXPECT_DOUBLE_EQ(results[1].bytes - weights, 3 * (results[0].bytes - weights));
}

TEST(Benchmark, AProfileAccountsForAllTheTime) {
  Generator generator(loaded_with(std::make_shared<ToyModel>(300, 128)), {});
  const auto results = run_benchmark(generator, {.prefill_lengths = {16}, .repetitions = 2, .profile = true});
  ASSERT_EQ(results.size(), 1U);
  ASSERT_FALSE(results[0].operations.empty());
  EXPECT_EQ(results[0].operations.back().operation, "other");
  double profiled = 0;
  for (const ProfileEntry& entry : results[0].operations) profiled += entry.seconds;
  double measured = 0;
  for (const double run : results[0].runs) measured += run;
  EXPECT_NEAR(profiled, measured, 1e-9);
}

TEST(Benchmark, GoesBeyondTheTrainedContextUnlessTheWeightsForbidIt) {
  const auto toy = std::make_shared<ToyModel>(300, 64);
  Generator generator(loaded_with(toy), {});
  EXPECT_EQ(run_benchmark(generator, {.prefill_lengths = {80}, .repetitions = 1}).size(), 1U);
  toy->limit_positions(64);
  EXPECT_THROW(run_benchmark(generator, {.prefill_lengths = {65}}), Error);
  EXPECT_THROW(run_benchmark(generator, {.decode_depths = {40}, .decode_tokens = 32}), Error);
  EXPECT_THROW(run_benchmark(generator, {.batch_sizes = {1}, .batch_depth = 60}), Error);
}

TEST(Benchmark, CasesThatCannotBeAreNamed) {
  Generator generator(loaded_with(std::make_shared<ToyModel>(300, 64)), {});
  EXPECT_THROW(run_benchmark(generator, {.prefill_lengths = {0}}), Error);
  EXPECT_THROW(run_benchmark(generator, {.decode_depths = {-1}}), Error);
  EXPECT_THROW(run_benchmark(generator, {.batch_sizes = {0}}), Error);
  EXPECT_THROW(run_benchmark(generator, {.repetitions = 0}), Error);
  const CancelFlag cancel{true};
  EXPECT_THROW(run_benchmark(generator, {.prefill_lengths = {8}}, {}, &cancel), Error);
}

}  // namespace
}  // namespace tessera::engine
