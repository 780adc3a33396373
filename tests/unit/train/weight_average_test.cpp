// The averaged weights: against the definition, and out of the model's way.
#include "train/weight_average.h"

#include <gtest/gtest.h>

#include <cmath>

#include "training_fixture.h"

namespace tessera::train::testing {
namespace {

constexpr SmallGptShape kTiny{.layers = 1, .heads = 2, .width = 16, .positions = 8, .vocabulary = 11};

TEST(WeightAverage, IsTheMeanWeightedByDecayToTheAge) {
  const auto model = small_gpt(kTiny);
  constexpr double kDecay = 0.9;
  WeightAverage average(model->parameters(), kDecay);
  Tensor weight = model->parameters()[1].tensor;
  const auto count = static_cast<std::size_t>(weight.elements());
  std::vector<double> sums(count);
  double shares = 0;
  constexpr int kUpdates = 25;
  for (int update = 1; update <= kUpdates; ++update) {
    const double share = std::pow(kDecay, kUpdates - update);
    shares += share;
    for (std::size_t i = 0; i < count; ++i) {
      const auto bits = random_bits(static_cast<std::uint64_t>(update), i) >> 40U;
      const float value = static_cast<float>(static_cast<double>(bits) * 0x1p-24 - 0.5);
      weight.as_mutable<float>()[i] = value;
      sums[i] += share * double{value};
    }
    average.update();
  }
  const auto found = average.averages()[1].tensor.as<float>();
  // An update rounds thrice, by at most 2^-24 of numbers below 1, and later ones only shrink that.
  for (std::size_t i = 0; i < count; ++i)
    ASSERT_NEAR(found[i], sums[i] / shares, 3 * kUpdates * 0x1p-24) << i;
}

TEST(WeightAverage, OfOneUpdateIsTheWeightsThemselves) {
  const auto model = small_gpt(kTiny);
  WeightAverage average(model->parameters(), 0.999);
  average.update();
  for (std::size_t i = 0; i < model->parameters().size(); ++i) {
    const auto own = model->parameters()[i].tensor.as<float>();
    const auto mean = average.averages()[i].tensor.as<float>();
    ASSERT_TRUE(std::equal(own.begin(), own.end(), mean.begin()));
  }
}

TEST(WeightAverage, TheModelHasItForAWhileAndThenItsOwnAgain) {
  const auto model = small_gpt(kTiny);
  WeightAverage average(model->parameters(), 0.9);
  average.update();
  Tensor weight = model->parameters()[1].tensor;
  const float first = weight.as<float>()[0];
  weight.as_mutable<float>()[0] = 7.0F;
  {
    const AveragedWeightsScope averaged(average);
    EXPECT_EQ(weight.as<float>()[0], first);
  }
  EXPECT_EQ(weight.as<float>()[0], 7.0F);
  EXPECT_EQ(average.averages()[1].tensor.as<float>()[0], first);
}

}  // namespace
}  // namespace tessera::train::testing
