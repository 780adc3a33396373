// The tape alone, with operations made up on the spot.
#include "autograd/tape.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/error_of.h"

namespace tessera::autograd {
namespace {

float first(const Tensor& tensor) { return tensor.as<float>()[0]; }

// y = factor x, recorded by hand.
Tensor scaled(Tape& tape, const Tensor& x, float factor) {
  Tensor y = Tensor::empty(x.shape());
  for (std::size_t i = 0; i < y.as<float>().size(); ++i) y.as_mutable<float>()[i] = factor * x.as<float>()[i];
  tape.record({y}, {x}, [x, y, factor](Tape& t) {
    const Tensor dy = t.gradient(y);
    GradientWindow dx = t.gradient_to_write(x);
    for (std::size_t i = 0; i < dy.as<float>().size(); ++i) {
      float& target = dx.values.as_mutable<float>()[i];
      target = (dx.accumulate ? target : 0.0F) + factor * dy.as<float>()[i];
    }
  });
  return y;
}

Tensor one_value(float value) { return Tensor::from_values({1}, std::vector<float>{value}); }

TEST(Tape, ChainsAndSumsOfPaths) {
  Tape tape;
  const Tensor x = one_value(2);
  tape.watch(x);
  const Tensor a = scaled(tape, x, 3);
  const Tensor b = scaled(tape, a, 5);
  // Both paths from x to the loss: y = 5 (3 x) plus 7 (3 x) through a second reader of a.
  const Tensor c = scaled(tape, a, 7);
  Tensor loss = one_value(first(b) + first(c));
  tape.record({loss}, {}, [b, c, loss](Tape& t) {
    for (const Tensor& input : {b, c}) {
      GradientWindow window = t.gradient_to_write(input);
      window.values.as_mutable<float>()[0] = first(t.gradient(loss));
    }
  });
  tape.backward(loss);
  EXPECT_EQ(first(tape.gradient(x)), 36);
  EXPECT_EQ(tape.recorded_operations(), 0U);
  EXPECT_FALSE(tape.tracks(a)) << "what is not a leaf is forgotten";
}

TEST(Tape, GradientsOfLeavesGrowUntilTheyAreZeroed) {
  Tape tape;
  const Tensor x = one_value(1);
  tape.watch(x);
  for (int i = 0; i < 3; ++i) tape.backward(scaled(tape, x, 2), 0.5F);
  EXPECT_EQ(first(tape.gradient(x)), 3);
  tape.zero_gradients();
  EXPECT_FALSE(tape.has_gradient(x));
  EXPECT_EQ(first(tape.gradient(x)), 0);
}

TEST(Tape, TensorsThatShareMemoryShareAGradient) {
  Tape tape;
  const Tensor fused = Tensor::from_values({4, 1}, std::vector<float>{1, 2, 3, 4});
  tape.watch(fused);
  const Tensor part = fused.rows(1, 3);
  const Tensor row = scaled(tape, part, 10).reshape({2}).rows(1, 2);
  EXPECT_TRUE(tape.tracks(part));
  tape.backward(row);
  const Tensor gradient = tape.gradient(fused);
  const std::vector<float> found(gradient.as<float>().begin(), gradient.as<float>().end());
  EXPECT_EQ(found, (std::vector<float>{0, 0, 10, 0}));
}

TEST(Tape, OperationsInPlaceChangeTheGradientInPlace) {
  Tape tape;
  const Tensor x = one_value(1);
  tape.watch(x);
  Tensor y = scaled(tape, x, 3);
  y.as_mutable<float>()[0] *= 4;
  tape.record_in_place(y, [y](Tape& t) { t.gradient(y).as_mutable<float>()[0] *= 4; });
  tape.backward(scaled(tape, y, 5));
  EXPECT_EQ(first(tape.gradient(x)), 60);
}

TEST(Tape, OverwritingWhatIsStillNeededIsAnError) {
  Tape tape;
  const Tensor x = one_value(1);
  tape.watch(x);
  const Tensor y = scaled(tape, x, 3);
  scaled(tape, y, 5);  // keeps y
  EXPECT_THROW(tape.record_in_place(y, [](Tape&) {}), Error);
  EXPECT_THROW(tape.record_in_place(x, [](Tape&) {}), Error);
}

TEST(Tape, RecordsOnlyInsideAScopeAndOnlyWhatIsTracked) {
  Tape tape;
  const Tensor x = one_value(1);
  const Tensor other = one_value(1);
  const Tensor none;
  tape.watch(x);
  EXPECT_EQ(tape_for({&x}), nullptr);
  {
    const RecordingScope scope(tape);
    EXPECT_EQ(tape_for({&none, &x}), &tape);
    EXPECT_EQ(tape_for({&other, &none}), nullptr);
    const NoGradientScope forward_only;
    EXPECT_EQ(tape_for({&x}), nullptr);
  }
  EXPECT_EQ(tape_for({&x}), nullptr);
}

TEST(Tape, OperationsThatNoGradientReachesAreSkipped) {
  Tape tape;
  const Tensor x = one_value(1);
  tape.watch(x);
  bool ran = false;
  const Tensor aside = one_value(0);
  const Tensor loss = scaled(tape, x, 2);
  tape.record({aside}, {x}, [&](Tape&) { ran = true; });
  tape.backward(loss);
  EXPECT_FALSE(ran);
  EXPECT_EQ(first(tape.gradient(x)), 2);
}

// What activation checkpointing does: the forward runs again while the tape walks back.
TEST(Tape, ANodeMayRecordAgainWhatItStandsFor) {
  Tape tape;
  const Tensor x = one_value(1);
  tape.watch(x);
  const Tensor y = one_value(6);
  tape.record({y}, {x}, [x, y](Tape& t) {
    const Tensor again = scaled(t, scaled(t, x, 2), 3);
    t.move_gradient(y, again);
  });
  tape.backward(scaled(tape, y, 5));
  EXPECT_EQ(first(tape.gradient(x)), 30);
}

TEST(Tape, ALossThatDependsOnNothingIsAnError) {
  Tape tape;
  EXPECT_THROW(tape.backward(one_value(1)), Error);
}

}  // namespace
}  // namespace tessera::autograd
