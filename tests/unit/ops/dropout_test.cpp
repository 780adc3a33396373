#include "ops/dropout.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "autograd/tape.h"
#include "ops/elementwise.h"

namespace tessera::ops {
namespace {

Tensor ones(std::int64_t count) {
  Tensor x = Tensor::empty({count});
  std::ranges::fill(x.as_mutable<float>(), 1.0F);
  return x;
}

std::vector<float> values(const Tensor& x) { return {x.as<float>().begin(), x.as<float>().end()}; }

TEST(Dropout, DropsAboutItsShareAndKeepsTheMean) {
  const DropoutScope scope(0.25, 7);
  const Tensor y = dropout(ones(40000));
  const auto dropped = static_cast<double>(std::ranges::count(y.as<float>(), 0.0F));
  // A binomial's deviation here is 87; six of them.
  EXPECT_NEAR(dropped, 10000, 520);
  for (const float value : y.as<float>()) ASSERT_TRUE(value == 0.0F || value == 1.0F / 0.75F);
}

TEST(Dropout, MasksFollowFromSeedAndOrder) {
  const auto masks = [](std::uint64_t seed) {
    const DropoutScope scope(0.5, seed);
    return std::pair(values(dropout(ones(64))), values(dropout(ones(64))));
  };
  EXPECT_EQ(masks(1), masks(1));
  EXPECT_NE(masks(1).first, masks(2).first);
  EXPECT_NE(masks(1).first, masks(1).second);
}

TEST(Dropout, DoesNothingOutsideOfAScope) {
  EXPECT_EQ(values(dropout(ones(64))), values(ones(64)));
  const DropoutScope scope(0.0, 1);
  EXPECT_EQ(values(dropout(ones(64))), values(ones(64)));
}

TEST(Dropout, GradientsAreDroppedWhereValuesWere) {
  autograd::Tape tape;
  const Tensor a = ones(64);
  const Tensor b = ones(64);
  tape.watch(a);
  const autograd::RecordingScope recording(tape);
  const DropoutScope scope(0.5, 3);
  const Tensor y = dropout(add(a, b));
  Tensor loss = Tensor::from_values({1}, std::vector<float>{0.0F});
  tape.record({loss}, {},
              [y](autograd::Tape& t) { std::ranges::fill(t.gradient(y).as_mutable<float>(), 1.0F); });
  tape.backward(loss);
  const Tensor twice = tape.gradient(a);
  for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(2 * twice.as<float>()[i], y.as<float>()[i]) << i;
}

}  // namespace
}  // namespace tessera::ops
