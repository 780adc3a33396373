#include "engine/model_runner.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/thread_pool.h"
#include "nn/attention/dense_attention.h"
#include "toy_model.h"

namespace tessera::engine {
namespace {

using testing::ToyModel;

std::vector<TokenId> some_tokens(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 300);
  return tokens;
}

std::vector<float> values(const Tensor& tensor) {
  const auto span = tensor.as<float>();
  return {span.begin(), span.end()};
}

class ModelRunnerTest : public ::testing::TestWithParam<DType> {
 protected:
  ToyModel model_;
  KeyValueCache cache_{model_.config().layers,
                       {.tokens = 400, .key_dtype = GetParam(), .value_dtype = GetParam()}};
  ModelRunner runner_{model_, cache_};

  Sequence sequence_of(std::span<const TokenId> tokens) {
    Sequence sequence(cache_.block_manager());
    for (const TokenId token : tokens) sequence.append(token);
    return sequence;
  }

  // Logits of every position, computed in passes of the given sizes (the last size repeats).
  std::vector<float> all_logits(Sequence& sequence, const std::vector<std::int64_t>& chunks) {
    std::vector<float> result;
    for (std::size_t i = 0; sequence.cached() < sequence.length(); ++i) {
      const std::int64_t left = sequence.length() - sequence.cached();
      const std::int64_t count = std::min(left, chunks[std::min(i, chunks.size() - 1)]);
      const SequenceStep step{&sequence, count, count};
      const std::vector<float> logits = values(runner_.run({&step, 1}));
      result.insert(result.end(), logits.begin(), logits.end());
    }
    return result;
  }
};

INSTANTIATE_TEST_SUITE_P(CacheTypes, ModelRunnerTest,
                         ::testing::Values(DType::f32, DType::f16, DType::bf16, DType::q8_0),
                         [](const auto& cache_type) { return std::string(name(cache_type.param)); });

TEST_P(ModelRunnerTest, PrefillDecodeAndChunksGiveTheSameBits) {
  const std::vector<TokenId> tokens = some_tokens(45, 1);
  Sequence whole = sequence_of(tokens);
  const std::vector<float> expected = all_logits(whole, {45});
  for (const std::vector<std::int64_t>& chunks :
       {std::vector<std::int64_t>{1}, {30, 1}, {16, 7}, {3, 20, 8, 1}, {8}}) {
    Sequence sequence = sequence_of(tokens);
    EXPECT_EQ(all_logits(sequence, chunks), expected) << "first chunk " << chunks[0];
  }
}

TEST_P(ModelRunnerTest, ThreadsDoNotChangeABit) {
  const std::vector<TokenId> tokens = some_tokens(33, 2);
  std::vector<std::vector<float>> results;
  const int threads_before = thread_pool().size();
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    Sequence sequence = sequence_of(tokens);
    results.push_back(all_logits(sequence, {20, 1}));
  }
  set_thread_count(threads_before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST_P(ModelRunnerTest, ABatchGivesEachSequenceWhatItGetsAlone) {
  std::vector<std::vector<float>> alone;
  std::vector<Sequence> sequences;
  for (std::uint32_t i = 0; i < 3; ++i) {
    Sequence solo = sequence_of(some_tokens(10 + 9 * i, 20 + i));
    alone.push_back(all_logits(solo, {100}));
    sequences.push_back(sequence_of(solo.tokens()));
  }
  // A decode step, a chunk in the middle, and a whole prompt in one pass.
  const SequenceStep warm[] = {{&sequences[0], 9, 0}, {&sequences[1], 5, 0}};
  EXPECT_FALSE(runner_.run(warm).defined());
  const SequenceStep mixed[] = {{&sequences[0], 1, 1}, {&sequences[1], 14, 3}, {&sequences[2], 28, 1}};
  const std::vector<float> logits = values(runner_.run(mixed));
  ASSERT_EQ(logits.size(), 5U * 300U);
  const auto last_rows = [&](std::size_t i, std::size_t rows) {
    return std::vector<float>(alone[i].end() - static_cast<std::ptrdiff_t>(rows * 300), alone[i].end());
  };
  EXPECT_EQ(std::vector<float>(logits.begin(), logits.begin() + 300), last_rows(0, 1));
  EXPECT_EQ(std::vector<float>(logits.begin() + 300, logits.begin() + 1200), last_rows(1, 3));
  EXPECT_EQ(std::vector<float>(logits.begin() + 1200, logits.end()), last_rows(2, 1));
}

TEST_P(ModelRunnerTest, ForksContinueIndependently) {
  const std::vector<TokenId> prompt = some_tokens(13, 5);
  Sequence one = sequence_of(prompt);
  all_logits(one, {13});
  Sequence two = one.fork();
  one.append(7);
  two.append(250);
  const SequenceStep steps[] = {{&one, 1, 1}, {&two, 1, 1}};
  std::vector<float> together = values(runner_.run(steps));
  one.append(8);
  const std::vector<float> later = all_logits(one, {1});

  std::vector<TokenId> tokens = prompt;
  tokens.insert(tokens.end(), {7, 8});
  Sequence fresh = sequence_of(tokens);
  std::vector<float> expected = all_logits(fresh, {100});
  const auto row = [](const std::vector<float>& all, std::size_t index) {
    return std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(index * 300),
                              all.begin() + static_cast<std::ptrdiff_t>((index + 1) * 300));
  };
  EXPECT_EQ(row(together, 0), row(expected, 13));
  EXPECT_EQ(later, row(expected, 14));
  tokens = prompt;
  tokens.push_back(250);
  Sequence other = sequence_of(tokens);
  EXPECT_EQ(row(together, 1), row(all_logits(other, {100}), 13));
}

TEST_P(ModelRunnerTest, AfterRollbackTheSameTokensGiveTheSameBits) {
  Sequence sequence = sequence_of(some_tokens(40, 6));
  const std::vector<float> expected = all_logits(sequence, {40});
  const std::vector<TokenId> tokens = sequence.tokens();
  for (const std::int64_t keep : {39, 21, 8, 0}) {
    sequence.truncate(keep);
    for (TokenId wrong = 0; wrong < 5; ++wrong) sequence.append(wrong);
    all_logits(sequence, {5});
    EXPECT_EQ(sequence.replace(tokens), keep);
    const std::vector<float> again = all_logits(sequence, {40});
    EXPECT_EQ(again,
              std::vector<float>(expected.begin() + static_cast<std::ptrdiff_t>(keep * 300), expected.end()));
  }
}

TEST_P(ModelRunnerTest, RefusedStepsChangeNothing) {
  Sequence long_one = sequence_of(some_tokens(350, 8));
  Sequence other = sequence_of(some_tokens(60, 9));
  const SequenceStep too_much[] = {{&long_one, 350, 1}, {&other, 60, 1}};
  EXPECT_THROW(runner_.run(too_much), Error);
  EXPECT_EQ(long_one.cached(), 0);
  EXPECT_EQ(cache_.block_manager().free_blocks(), cache_.block_manager().num_blocks());
  const SequenceStep beyond[] = {{&other, 61, 1}};
  EXPECT_THROW(runner_.run(beyond), Error);
  other.append(100'000);  // no such id: the model refuses in the middle of the pass
  const SequenceStep bad_id[] = {{&other, 61, 1}};
  EXPECT_THROW(runner_.run(bad_id), Error);
  EXPECT_EQ(other.cached(), 0);
  EXPECT_EQ(cache_.block_manager().free_blocks(), cache_.block_manager().num_blocks());
}

// The paged cache in float32 against attention without a cache. Both sum the same at most 45 products a score
// and 45 weighted values in float32, in different orders: relative error of a sum of n terms is at most n *
// 2^-24 of the sum of magnitudes, which after two layers and the final norm leaves 1e-4 of the largest logit
// with room to spare.
TEST(ModelRunner, PagedAttentionEqualsDenseAttention) {
  const ToyModel model;
  KeyValueCache cache(model.config().layers,
                      {.tokens = 64, .key_dtype = DType::f32, .value_dtype = DType::f32});
  ModelRunner runner(model, cache);
  const std::vector<TokenId> tokens = some_tokens(45, 3);
  Sequence sequence(cache.block_manager());
  for (const TokenId token : tokens) sequence.append(token);
  const SequenceStep step{&sequence, 45, 45};
  const std::vector<float> paged = values(runner.run({&step, 1}));

  std::vector<std::int32_t> positions(45);
  for (std::int32_t i = 0; i < 45; ++i) positions[static_cast<std::size_t>(i)] = i;
  const std::int32_t query_start[] = {0, 45};
  const std::int32_t context_length[] = {45};
  RaggedBatch batch;
  batch.tokens = tokens;
  batch.positions = positions;
  batch.query_start = query_start;
  batch.context_length = context_length;
  nn::DenseAttention attention;
  const std::vector<float> dense = values(model.logits(model.forward(batch, attention)));
  ASSERT_EQ(paged.size(), dense.size());
  float largest = 0;
  for (const float value : dense) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < dense.size(); ++i) ASSERT_NEAR(paged[i], dense[i], 1e-4F * largest) << i;
}

TEST(KeyValueCache, SaysWhatItNeedsAndWhatThereIs) {
  const std::vector<models::KeyValueShape> layers(80, {.num_key_value_heads = 64, .head_dim = 128});
  EXPECT_EQ(key_value_bytes_per_token(layers, DType::f16, DType::f16), 80U * 64U * 128U * 2U * 2U);
  // A byte an element, an f16 scale every 32.
  EXPECT_EQ(key_value_bytes_per_token(layers, DType::q8_0, DType::f32),
            80U * 64U * 128U * (34U + 4U * 32U) / 32U);
  try {
    const KeyValueCache cache(layers, {.tokens = 100'000'000});
    FAIL() << "a cache of hundreds of terabytes was made";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::limit);
    EXPECT_NE(std::string(error.what()).find("262 TB"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("available"), std::string::npos) << error.what();
  }
}

TEST(KeyValueCache, RefusesSizesAndTypesThatCannotBe) {
  const std::vector<models::KeyValueShape> layers(2, {.num_key_value_heads = 2, .head_dim = 8});
  EXPECT_THROW(KeyValueCache(layers, {.tokens = 0}), Error);
  EXPECT_THROW(KeyValueCache(layers, {.tokens = 16, .block_size = 0}), Error);
  EXPECT_THROW(KeyValueCache(layers, {.tokens = 16, .block_size = 8}), Error);
  EXPECT_THROW(KeyValueCache(layers, {.tokens = 16, .key_dtype = DType::q4_0}), Error);
  const std::vector<models::KeyValueShape> huge(
      2, {.num_key_value_heads = std::int64_t{1} << 40, .head_dim = std::int64_t{1} << 40});
  EXPECT_THROW(KeyValueCache(huge, {.tokens = 16}), Error);
  const std::vector<models::KeyValueShape> negative(2, {.num_key_value_heads = -1, .head_dim = 8});
  EXPECT_THROW(KeyValueCache(negative, {.tokens = 16}), Error);
}

}  // namespace
}  // namespace tessera::engine
