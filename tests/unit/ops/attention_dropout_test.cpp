// Dropout of attention probabilities: PyTorch's definition, dropout(softmax(scores)) v, with masks by
// counters.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "autograd/tape.h"
#include "base/thread_pool.h"
#include "ops/dropout.h"
#include "ops/flash_attention.h"

namespace tessera::ops {
namespace {

constexpr std::int64_t kTokens = 150;
constexpr std::int64_t kHeads = 4;
constexpr std::int64_t kKeyValueHeads = 2;
constexpr double kProbability = 0.3;

Tensor normal(const Shape& shape, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> distribution;
  Tensor tensor = Tensor::empty(shape);
  for (float& value : tensor.as_mutable<float>()) value = distribution(random);
  return tensor;
}

// One sequence of kTokens with values [T, K, T] that are the unit vectors: the output of a row is then its
// row of dropped probabilities.
struct Example {
  Tensor q = normal({kTokens, kHeads, kTokens}, 1);
  Tensor k = normal({kTokens, kKeyValueHeads, kTokens}, 2);
  Tensor v = Tensor::zeros({kTokens, kKeyValueHeads, kTokens});
  std::vector<TokenId> tokens = std::vector<TokenId>(kTokens);
  std::vector<std::int32_t> positions = std::vector<std::int32_t>(kTokens);
  std::vector<std::int32_t> query_start{0, kTokens};
  std::vector<std::int32_t> context_length{kTokens};
  Example() {
    for (std::int64_t t = 0; t < kTokens; ++t) {
      for (std::int64_t head = 0; head < kKeyValueHeads; ++head) {
        v.as_mutable<float>()[static_cast<std::size_t>((t * kKeyValueHeads + head) * kTokens + t)] = 1.0F;
      }
    }
  }
  Tensor attend() const {
    const RaggedBatch batch{.tokens = tokens,
                            .positions = positions,
                            .query_start = query_start,
                            .context_length = context_length,
                            .slot_mapping = {},
                            .block_tables = {}};
    return flash_attention(q, k, v, batch, {.scale = 0.05F});
  }
};

std::vector<float> values(const Tensor& x) { return {x.as<float>().begin(), x.as<float>().end()}; }

TEST(AttentionDropout, DropsAfterTheSoftmaxAndScalesTheRest) {
  const Example example;
  const std::vector<float> whole = values(example.attend());
  const DropoutScope scope(kProbability, 9);
  const std::vector<float> dropped = values(example.attend());
  double seen = 0;
  double zeros = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i) / (kHeads * kTokens);
    const auto key = static_cast<std::int64_t>(i) % kTokens;
    if (key > row) {
      ASSERT_EQ(dropped[i], 0.0F);
      continue;
    }
    ++seen;
    if (dropped[i] == 0.0F) {
      ++zeros;
    } else {  // one more rounding, of the product
      ASSERT_NEAR(dropped[i], whole[i] / (1 - kProbability), 4e-7 * whole[i] / (1 - kProbability)) << i;
    }
  }
  // Six deviations of a binomial.
  EXPECT_NEAR(zeros / seen, kProbability, 6 * std::sqrt(kProbability * (1 - kProbability) / seen));
}

// Of one mask in many: each head, row and call has its own.
TEST(AttentionDropout, MasksOfHeadsRowsAndCallsDiffer) {
  const Example example;
  const DropoutScope scope(kProbability, 9);
  const std::vector<float> first = values(example.attend());
  const std::vector<float> second = values(example.attend());
  const auto mask = [&](const std::vector<float>& y, std::int64_t token, std::int64_t head) {
    std::vector<bool> zero;
    for (std::int64_t s = 0; s < 100; ++s) {
      zero.push_back(y[static_cast<std::size_t>((token * kHeads + head) * kTokens + s)] == 0.0F);
    }
    return zero;
  };
  EXPECT_NE(mask(first, 120, 0), mask(first, 120, 1));
  EXPECT_NE(mask(first, 120, 0), mask(first, 120, 2));
  EXPECT_NE(mask(first, 120, 0), mask(first, 121, 0));
  EXPECT_NE(mask(first, 120, 0), mask(second, 120, 0));
}

TEST(AttentionDropout, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Example example;
  const int before = thread_pool().size();
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    autograd::Tape tape;
    tape.watch(example.q);
    tape.watch(example.v);
    const autograd::RecordingScope recording(tape);
    const DropoutScope scope(kProbability, 4);
    const Tensor y = example.attend();
    const Tensor loss = Tensor::from_values({1}, std::vector<float>{0.0F});
    tape.record({loss}, {}, [y](autograd::Tape& t) {
      Tensor dy = t.gradient(y);
      std::ranges::copy(normal(dy.shape(), 6).as<float>(), dy.as_mutable<float>().begin());
    });
    tape.backward(loss);
    std::vector<float> all = values(y);
    for (const Tensor& leaf : {example.q, example.v}) {
      const std::vector<float> gradient = values(tape.gradient(leaf));
      all.insert(all.end(), gradient.begin(), gradient.end());
    }
    results.push_back(std::move(all));
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
}

}  // namespace
}  // namespace tessera::ops
