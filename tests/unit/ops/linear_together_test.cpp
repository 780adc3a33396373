#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/linear.h"

namespace tessera::ops {
namespace {

Tensor random_tensor(const Shape& shape, std::mt19937& random) {
  Tensor tensor = Tensor::empty(shape);
  std::normal_distribution<float> normal;
  for (float& value : tensor.as_mutable<float>()) value = normal(random);
  return tensor;
}

void expect_same_bits(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.shape(), b.shape());
  EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0);
}

// Row counts that are no multiple of a chunk of rows, so that chunk borders fall inside and between weights.
TEST(LinearTogether, GivesEachProjectionTheBitsItHasAlone) {
  std::mt19937 random(std::random_device{}());
  const std::array<WeightMatrix, 3> weights{random_tensor({100, 48}, random), random_tensor({1, 48}, random),
                                            random_tensor({33, 48}, random)};
  const Tensor bias = random_tensor({33}, random);
  const Tensor none;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    for (const std::int64_t tokens : {1, 5}) {
      const Tensor x = random_tensor({tokens, 48}, random);
      const std::array<Projection, 3> projections{
          Projection{&weights[0], &none}, Projection{&weights[1], nullptr}, Projection{&weights[2], &bias}};
      const auto together = linear_together(x, projections);
      ASSERT_EQ(together.size(), 3U);
      expect_same_bits(together[0], linear(x, weights[0]));
      expect_same_bits(together[1], linear(x, weights[1]));
      expect_same_bits(together[2], linear(x, weights[2], bias));
    }
  }
  set_thread_count(usable_cpus());
}

TEST(LinearTogether, RejectsAWeightThatDoesNotFit) {
  const Tensor x = Tensor::zeros({2, 8});
  const WeightMatrix good = Tensor::zeros({4, 8});
  const WeightMatrix bad = Tensor::zeros({4, 9});
  const std::array<Projection, 2> projections{Projection{&good}, Projection{&bad}};
  EXPECT_THROW((void)linear_together(x, projections), Error);
}

}  // namespace
}  // namespace tessera::ops
