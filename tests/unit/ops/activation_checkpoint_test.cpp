// What is kept of a checkpointed layer, and that the backward repeats it.
#include "ops/activation_checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "autograd/tape.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"

namespace tessera::ops {
namespace {

Tensor counted(std::int64_t count) {
  Tensor x = Tensor::empty({count});
  for (std::int64_t i = 0; i < count; ++i)
    x.as_mutable<float>()[static_cast<std::size_t>(i)] = 0.25F * static_cast<float>(i % 7);
  return x;
}

std::vector<float> values(const Tensor& x) { return {x.as<float>().begin(), x.as<float>().end()}; }

// Gradient of the sum of y.
void walk_back(autograd::Tape& tape, const Tensor& y) {
  const Tensor loss = Tensor::from_values({1}, std::vector<float>{0.0F});
  tape.record({loss}, {},
              [y](autograd::Tape& t) { std::ranges::fill(t.gradient(y).as_mutable<float>(), 1.0F); });
  tape.backward(loss);
}

struct Outcome {
  std::vector<float> y, dx;
  int runs = 0;
  std::size_t kept_operations = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome run_three_layers(bool wanted) {
  autograd::Tape tape;
  const Tensor x = counted(64);
  tape.watch(x);
  const autograd::RecordingScope recording(tape);
  const DropoutScope dropout_scope(0.5, 3);
  const ActivationCheckpointScope scope(wanted);
  Outcome outcome;
  Tensor h = x;
  for (int layer = 0; layer < 3; ++layer) {
    h = checkpointed(h, [&outcome](const Tensor& in) {
      ++outcome.runs;
      const Tensor twice = dropout(add(in, in));
      return add(twice, dropout(add(in, twice)));
    });
  }
  outcome.kept_operations = tape.recorded_operations();
  outcome.y = values(h);
  walk_back(tape, h);
  outcome.dx = values(tape.gradient(x));
  return outcome;
}

TEST(ActivationCheckpoint, RepeatsTheLayerWithTheSameMasks) {
  const Outcome whole = run_three_layers(false);
  const Outcome repeated = run_three_layers(true);
  EXPECT_EQ(whole.runs, 3);
  EXPECT_EQ(repeated.runs, 6);
  EXPECT_EQ(whole.kept_operations, 15U);
  EXPECT_EQ(repeated.kept_operations, 3U);
  EXPECT_EQ(repeated.y, whole.y);
  EXPECT_EQ(repeated.dx, whole.dx);
  EXPECT_TRUE(std::ranges::any_of(whole.dx, [](float value) { return value != 0.0F; }));
}

TEST(ActivationCheckpoint, ForgetsWhatTheLayerComputedUntilTheBackward) {
  autograd::Tape tape;
  const Tensor x = counted(8);
  tape.watch(x);
  const autograd::RecordingScope recording(tape);
  const ActivationCheckpointScope scope;
  std::weak_ptr<Storage> inside;
  const Tensor y = checkpointed(x, [&](const Tensor& in) {
    const Tensor twice = add(in, in);
    inside = twice.storage();
    return add(twice, in);
  });
  EXPECT_TRUE(inside.expired());
  walk_back(tape, y);
  EXPECT_EQ(values(tape.gradient(x)), std::vector<float>(8, 3.0F));
}

TEST(ActivationCheckpoint, DoesNothingWithoutATape) {
  const ActivationCheckpointScope scope;
  int runs = 0;
  const auto layer = [&](const Tensor& in) {
    ++runs;
    return add(in, in);
  };
  checkpointed(counted(8), layer);
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace tessera::ops
