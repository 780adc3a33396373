// Low-rank adapters beside a linear layer: what they add, to which rows, and where gradients go.
#include "nn/lora.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "autograd/tape.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "nn/linear.h"
#include "ops/dropout.h"
#include "ops/linear.h"

namespace tessera::nn {
namespace {

Tensor random(const Shape& shape, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  Tensor tensor = Tensor::empty(shape);
  for (float& value : tensor.as_mutable<float>()) value = normal(generator);
  return tensor;
}

std::vector<float> values(const Tensor& tensor) {
  return {tensor.as<float>().begin(), tensor.as<float>().end()};
}

double at(const Tensor& matrix, std::int64_t row, std::int64_t column) {
  return double{matrix.as<float>()[static_cast<std::size_t>(row * matrix.dim(1) + column)]};
}

class LoraLinear : public ::testing::Test {
 protected:
  static constexpr std::int64_t kRows = 7, kIn = 37, kOut = 29;

  LoraLinear() {
    layer_.set_lora_slot(slot_);
    slot_->set(0, adapter(3, 1.7F));
    slot_->set(2, adapter(5, -0.3F));
  }
  LoraWeights adapter(std::int64_t r, float scale) {
    return {random({r, kIn}, seed_()), random({kOut, r}, seed_()), scale};
  }
  // y = W x + s B A x in float64, and the sum of the terms' sizes.
  std::pair<double, double> expected(std::int64_t row, std::int64_t column, const LoraWeights* lora) const {
    double sum = 0;
    double sizes = 0;
    const auto add = [&](double term) {
      sum += term;
      sizes += std::abs(term);
    };
    for (std::int64_t i = 0; i < kIn; ++i) add(at(weight_, column, i) * at(x_, row, i));
    if (lora == nullptr) return {sum, sizes};
    for (std::int64_t k = 0; k < lora->a.dim(0); ++k) {
      for (std::int64_t i = 0; i < kIn; ++i) {
        add(double{lora->scale} * at(lora->b, column, k) * at(lora->a, k, i) * at(x_, row, i));
      }
    }
    return {sum, sizes};
  }

  std::mt19937_64 seed_{std::random_device{}()};
  Tensor weight_ = random({kOut, kIn}, seed_());
  Tensor x_ = random({kRows, kIn}, seed_());
  std::shared_ptr<LoraSlot> slot_ = std::make_shared<LoraSlot>(kIn, kOut);
  Linear layer_{weight_};
};

TEST_F(LoraLinear, AddsNothingOutsideOfAScope) {
  const std::vector<float> plain = values(ops::linear(x_, weight_));
  EXPECT_EQ(values(layer_(x_)), plain);
  const LoraScope none(kNoLora);
  EXPECT_EQ(values(layer_(x_)), plain);
  const LoraScope unknown(LoraId{1});
  EXPECT_EQ(values(layer_(x_)), plain);
}

// Every product of an element is rounded, and every partial sum, of which there are at most in + r + 3: each
// by 2^-24 of the sum of the terms' sizes.
TEST_F(LoraLinear, EachRowTakesTheAdapterItNames) {
  const std::vector<LoraId> rows{0, kNoLora, 2, 0, 2, 2, kNoLora};
  const LoraScope scope(rows);
  const Tensor y = layer_(x_);
  for (std::int64_t row = 0; row < kRows; ++row) {
    const LoraWeights* lora = slot_->find(rows[static_cast<std::size_t>(row)]);
    for (std::int64_t column = 0; column < kOut; ++column) {
      const auto [sum, sizes] = expected(row, column, lora);
      EXPECT_NEAR(at(y, row, column), sum, (kIn + 5 + 3) * 0x1p-24 * sizes) << row << " " << column;
    }
  }
}

TEST_F(LoraLinear, ARowsBitsDependOnNoOtherRow) {
  const std::vector<LoraId> rows{0, kNoLora, 2, 0, 2, 2, kNoLora};
  Tensor together;
  {
    const LoraScope scope(rows);
    together = layer_(x_);
  }
  const int threads = thread_pool().size();
  for (const int count : {1, 3}) {
    set_thread_count(count);
    for (std::int64_t row = 0; row < kRows; ++row) {
      const LoraScope scope(rows[static_cast<std::size_t>(row)]);
      EXPECT_EQ(values(layer_(x_.rows(row, row + 1))), values(together.rows(row, row + 1))) << row;
    }
  }
  set_thread_count(threads);
}

TEST_F(LoraLinear, PartsOfAFusedLayerAreRowsOfTheWhole) {
  const LoraScope scope(LoraId{2});
  const Tensor whole = layer_(x_);
  const Linear first = layer_.outputs(0, 11);
  const Linear second = layer_.outputs(11, kOut);
  const std::vector<Tensor> parts = project_together(x_, {first, second});
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t column = 0; column < kOut; ++column) {
      EXPECT_EQ(at(column < 11 ? parts[0] : parts[1], row, column < 11 ? column : column - 11),
                at(whole, row, column));
    }
  }
}

TEST_F(LoraLinear, ABOfZerosChangesNoBit) {
  slot_->set(0, {random({4, kIn}, seed_()), Tensor::zeros({kOut, 4}), 2.0F});
  const std::vector<float> plain = values(layer_(x_));
  const LoraScope scope(LoraId{0});
  EXPECT_EQ(values(layer_(x_)), plain);
}

// With the loss sum(g y): dB = s gᵀ (x Aᵀ), dA = s (g B)ᵀ x, dx = g (W + s B A).
TEST_F(LoraLinear, GradientsFlowToAdapterAndInputAlone) {
  const LoraWeights& lora = *slot_->find(2);
  const Tensor g = random({kRows, kOut}, seed_());
  autograd::Tape tape;
  tape.watch(lora.a);
  tape.watch(lora.b);
  tape.watch(x_);
  const autograd::RecordingScope recording(tape);
  const LoraScope scope(LoraId{2});
  const Tensor y = layer_(x_);  // [rows, out]
  const Tensor loss =
      ops::linear(y.reshape({1, kRows * kOut}), ops::WeightMatrix(g.reshape({1, kRows * kOut})));
  tape.backward(loss.reshape({1}));
  EXPECT_FALSE(tape.has_gradient(weight_));
  const auto r = lora.a.dim(0);
  // Chains of at most rows * out products of sums of in, out or r products.
  const auto near = [](double found, double sum, double sizes) {
    EXPECT_NEAR(found, sum, (kIn + kOut + 2 * kRows + 8) * 0x1p-24 * sizes);
  };
  for (std::int64_t k = 0; k < r; ++k) {
    for (std::int64_t i = 0; i < kIn; ++i) {
      double sum = 0;
      double sizes = 0;
      for (std::int64_t t = 0; t < kRows; ++t) {
        for (std::int64_t o = 0; o < kOut; ++o) {
          const double term = double{lora.scale} * at(g, t, o) * at(lora.b, o, k) * at(x_, t, i);
          sum += term;
          sizes += std::abs(term);
        }
      }
      near(at(tape.gradient(lora.a), k, i), sum, sizes);
    }
    for (std::int64_t o = 0; o < kOut; ++o) {
      double sum = 0;
      double sizes = 0;
      for (std::int64_t t = 0; t < kRows; ++t) {
        for (std::int64_t i = 0; i < kIn; ++i) {
          const double term = double{lora.scale} * at(g, t, o) * at(lora.a, k, i) * at(x_, t, i);
          sum += term;
          sizes += std::abs(term);
        }
      }
      near(at(tape.gradient(lora.b), o, k), sum, sizes);
    }
  }
  for (std::int64_t t = 0; t < kRows; ++t) {
    for (std::int64_t i = 0; i < kIn; ++i) {
      double sum = 0;
      double sizes = 0;
      for (std::int64_t o = 0; o < kOut; ++o) {
        double weight = at(weight_, o, i);
        double size = std::abs(weight);
        for (std::int64_t k = 0; k < r; ++k) {
          weight += double{lora.scale} * at(lora.b, o, k) * at(lora.a, k, i);
          size += std::abs(double{lora.scale} * at(lora.b, o, k) * at(lora.a, k, i));
        }
        sum += at(g, t, o) * weight;
        sizes += std::abs(at(g, t, o)) * size;
      }
      near(at(tape.gradient(x_), t, i), sum, sizes);
    }
  }
}

// Nothing before the first adapter is trained, so nothing of it is recorded.
TEST_F(LoraLinear, AFrozenLayerRecordsNothing) {
  autograd::Tape tape;
  tape.watch(slot_->find(0)->a);
  const autograd::RecordingScope recording(tape);
  (void)layer_(x_);
  EXPECT_EQ(tape.recorded_operations(), 0U);
  const LoraScope scope(LoraId{0});
  (void)layer_(x_);
  EXPECT_GT(tape.recorded_operations(), 0U);
}

TEST_F(LoraLinear, DropoutIsSeenByTheAdapterAlone) {
  const std::vector<float> plain = values(layer_(x_));
  const LoraScope scope(LoraId{0});
  const std::vector<float> whole = values(layer_(x_));
  const auto dropped = [&](double probability, std::uint64_t seed) {
    const ops::DropoutScope dropout(0.0, seed, probability);
    return values(layer_(x_));
  };
  EXPECT_EQ(dropped(0.0, 1), whole);
  EXPECT_NE(dropped(0.5, 1), whole);
  EXPECT_EQ(dropped(0.5, 1), dropped(0.5, 1));
  EXPECT_NE(dropped(0.5, 1), dropped(0.5, 2));
  const LoraScope none(kNoLora);
  EXPECT_EQ(dropped(0.5, 1), plain);
}

TEST_F(LoraLinear, RefusesWhatDoesNotFit) {
  EXPECT_THROW(slot_->set(0, {random({3, kIn + 1}, 1), random({kOut, 3}, 2), 1.0F}), Error);
  EXPECT_THROW(slot_->set(0, {random({3, kIn}, 1), random({kOut, 4}, 2), 1.0F}), Error);
  EXPECT_THROW(slot_->set(-1, adapter(2, 1.0F)), Error);
  const std::vector<LoraId> rows{0, 0};
  const LoraScope scope(rows);
  EXPECT_THROW(layer_(x_), Error);
}

}  // namespace
}  // namespace tessera::nn
