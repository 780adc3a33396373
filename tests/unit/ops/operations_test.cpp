// The operations above the kernels: shapes and types are checked, and neither threads nor company change a
// bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/activation.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/linear.h"
#include "ops/machine_peak.h"
#include "ops/normalization.h"
#include "ops/rotary_embedding.h"

namespace tessera::ops {
namespace {

Tensor normal(const Shape& shape, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> distribution;
  Tensor tensor = Tensor::empty(shape);
  for (float& value : tensor.as_mutable<float>()) value = distribution(random);
  return tensor;
}

// Q8_0 weights with scale 1/64: known values without a quantiser.
Tensor q8_weights(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Tensor weight = Tensor::empty({rows, columns}, DType::q8_0);
  std::byte* bytes = weight.mutable_raw();
  for (std::size_t i = 0; i < weight.bytes(); ++i) bytes[i] = static_cast<std::byte>(random() & 0xffU);
  const std::uint16_t scale = 0x2400;  // 2^-6 as f16
  for (std::size_t block = 0; block < weight.bytes(); block += 34)
    std::memcpy(bytes + block, &scale, sizeof(scale));
  return weight;
}

class OperationsTest : public ::testing::Test {
 protected:
  void TearDown() override { set_thread_count(usable_cpus()); }

  static void expect_same_on_all_threads(const std::function<Tensor()>& operation, const char* what) {
    set_thread_count(1);
    const Tensor expected = operation();
    for (const int threads : {2, 3, 5}) {
      set_thread_count(threads);
      const Tensor found = operation();
      ASSERT_EQ(std::memcmp(found.raw(), expected.raw(), expected.bytes()), 0) << what << " on " << threads;
    }
  }
};

TEST_F(OperationsTest, GiveTheSameBitsOnAnyNumberOfThreads) {
  const Tensor x = normal({37, 96}, 1);
  const Tensor wide = normal({67, 2048}, 2);
  const Tensor plain = normal({301, 96}, 3);
  const Tensor quantised = q8_weights(301, 96, 4);
  const Tensor bias = normal({301}, 5);
  const Tensor weight = normal({2048}, 6);
  expect_same_on_all_threads([&] { return linear(x, plain, bias); }, "linear F32");
  expect_same_on_all_threads([&] { return linear(x, quantised, bias); }, "linear Q8_0");
  expect_same_on_all_threads([&] { return linear(x.rows(0, 1), quantised); }, "linear of one token");
  expect_same_on_all_threads([&] { return rms_norm(wide, weight, 1e-5F); }, "rms_norm");
  expect_same_on_all_threads([&] { return layer_norm(wide, weight, weight, 1e-5F); }, "layer_norm");
  expect_same_on_all_threads([&] { return activate(wide, Activation::gelu_tanh); }, "gelu_tanh");
  expect_same_on_all_threads([&] { return gated_activation(wide, Activation::silu); }, "gated silu");
  expect_same_on_all_threads([&] { return add(wide, wide); }, "add");
}

TEST_F(OperationsTest, LinearGivesATokenTheSameBitsAloneAndInCompany) {
  const Tensor x = normal({23, 96}, 7);
  const Tensor weight = q8_weights(50, 96, 8);
  const Tensor together = linear(x, weight);
  for (std::int64_t t = 0; t < 23; ++t) {
    const Tensor alone = linear(x.rows(t, t + 1), weight);
    ASSERT_EQ(std::memcmp(alone.raw(), together.rows(t, t + 1).raw(), alone.bytes()), 0) << "token " << t;
  }
}

TEST_F(OperationsTest, LinearChecksItsShapes) {
  const Tensor x = normal({2, 8}, 9);
  EXPECT_THROW(linear(x, normal({4, 7}, 1)), Error);
  EXPECT_THROW(linear(x, normal({4, 8}, 1), normal({5}, 1)), Error);
  EXPECT_THROW(linear(normal({8}, 1), normal({4, 8}, 1)), Error);
  EXPECT_THROW(linear(x, Tensor::zeros({4, 8}, DType::i32)), Error);
  EXPECT_EQ(linear(Tensor::zeros({0, 8}), normal({4, 8}, 1)).shape(), (Shape{0, 4}));
}

TEST_F(OperationsTest, EmbeddingWidensTheRowsAskedForAndNamesABadId) {
  const Tensor weight = q8_weights(10, 64, 10);
  const std::vector<std::int32_t> ids{3, 9, 3};
  const Tensor y = embedding(ids, weight);
  ASSERT_EQ(y.shape(), (Shape{3, 64}));
  for (std::int64_t i = 0; i < 64; ++i) {  // Q8_0 with scale 2^-6: the byte / 64, exactly
    const std::size_t offset =
        3 * row_bytes(DType::q8_0, 64) + static_cast<std::size_t>(i / 32 * 34 + 2 + i % 32);
    const auto q = static_cast<std::int8_t>(weight.raw()[offset]);
    ASSERT_EQ(y.as<float>()[static_cast<std::size_t>(i)], static_cast<float>(q) / 64.0F);
    ASSERT_EQ(y.as<float>()[static_cast<std::size_t>(i + 128)], static_cast<float>(q) / 64.0F);
  }
  for (const std::int32_t bad : {-1, 10, std::numeric_limits<std::int32_t>::max()}) {
    const std::vector<std::int32_t> wrong{0, bad};
    try {
      embedding(wrong, weight);
      FAIL() << "id " << bad << " was accepted";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(std::to_string(bad)), std::string::npos) << error.what();
    }
  }
}

// Both layouts rotate pair i by the angle position * frequency; they differ in where the pair lies. A
// rotation keeps lengths, turns (1, 0) into (cos, sin), and leaves elements beyond the rotated part alone.
TEST_F(OperationsTest, RotaryEmbeddingTurnsPairs) {
  const std::vector<std::int32_t> positions{0, 3};
  const std::vector<float> frequencies{1.0F, 0.25F};
  for (const RotaryLayout layout : {RotaryLayout::half, RotaryLayout::interleaved}) {
    Tensor x = Tensor::zeros({2, 1, 5});
    const std::size_t first[] = {0, layout == RotaryLayout::half ? std::size_t{1} : std::size_t{2}};
    const std::size_t second[] = {first[0] + (layout == RotaryLayout::half ? 2U : 1U),
                                  first[1] + (layout == RotaryLayout::half ? 2U : 1U)};
    for (std::size_t token = 0; token < 2; ++token) {
      for (const std::size_t i : first) x.as_mutable<float>()[token * 5 + i] = 1.0F;
      x.as_mutable<float>()[token * 5 + 4] = 7.0F;
    }
    rotary_embedding(x, positions, frequencies, layout, 2.0F);
    for (std::size_t token = 0; token < 2; ++token) {
      for (std::size_t pair = 0; pair < 2; ++pair) {
        const double angle = double{frequencies[pair]} * positions[token];
        // cos and sin of float32 angles within 2 units, times 2: 8 u covers it.
        EXPECT_NEAR(x.as<float>()[token * 5 + first[pair]], 2 * std::cos(angle), 8 * 0x1p-24);
        EXPECT_NEAR(x.as<float>()[token * 5 + second[pair]], 2 * std::sin(angle), 8 * 0x1p-24);
      }
      EXPECT_EQ(x.as<float>()[token * 5 + 4], 7.0F);
    }
  }
  Tensor narrow = Tensor::zeros({2, 1, 3});
  EXPECT_THROW(rotary_embedding(narrow, positions, frequencies, RotaryLayout::half), Error);
}

TEST_F(OperationsTest, RotaryEmbeddingOfTwoTensorsEqualsThatOfEach) {
  const std::vector<std::int32_t> positions{4, 0, 900};
  const std::vector<float> frequencies{1.0F, 0.25F, 0.01F};
  for (const RotaryLayout layout : {RotaryLayout::half, RotaryLayout::interleaved}) {
    Tensor q = normal({3, 4, 7}, 21);
    Tensor k = normal({3, 1, 7}, 22);
    Tensor q_alone = normal({3, 4, 7}, 21);
    Tensor k_alone = normal({3, 1, 7}, 22);
    rotary_embedding(q, k, positions, frequencies, layout, 1.5F);
    rotary_embedding(q_alone, positions, frequencies, layout, 1.5F);
    rotary_embedding(k_alone, positions, frequencies, layout, 1.5F);
    EXPECT_EQ(std::memcmp(q.raw(), q_alone.raw(), q.bytes()), 0);
    EXPECT_EQ(std::memcmp(k.raw(), k_alone.raw(), k.bytes()), 0);
  }
}

TEST_F(OperationsTest, GatedActivationOfOneTensorEqualsThatOfTwo) {
  const Tensor both = normal({5, 34}, 11);
  const Tensor gate = columns(both, 0, 17);
  const Tensor up = columns(both, 17, 34);
  for (const Activation kind :
       {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::relu}) {
    const Tensor one = gated_activation(both, kind);
    const Tensor two = gated_activation(gate, up, kind);
    ASSERT_EQ(std::memcmp(one.raw(), two.raw(), one.bytes()), 0);
  }
  EXPECT_THROW(gated_activation(normal({5, 33}, 1), Activation::silu), Error);
  EXPECT_THROW(gated_activation(gate, normal({5, 18}, 1), Activation::silu), Error);
}

TEST_F(OperationsTest, ActivationNamesAreTheHuggingFaceOnes) {
  EXPECT_EQ(activation_from_name("silu"), Activation::silu);
  EXPECT_EQ(activation_from_name("gelu"), Activation::gelu);
  EXPECT_EQ(activation_from_name("gelu_new"), Activation::gelu_tanh);
  EXPECT_EQ(activation_from_name("gelu_pytorch_tanh"), Activation::gelu_tanh);
  EXPECT_EQ(activation_from_name("relu"), Activation::relu);
  EXPECT_THROW(activation_from_name("mish"), Error);
  EXPECT_THROW(activation_from_name(""), Error);
}

TEST_F(OperationsTest, RowsAndColumnsAreCopiedOut) {
  const Tensor x = Tensor::from_values({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const std::vector<std::int32_t> indices{1, 0, 1};
  const Tensor rows = gather_rows(x, indices);
  EXPECT_EQ(rows.shape(), (Shape{3, 3}));
  EXPECT_EQ(rows.as<float>()[0], 4.0F);
  EXPECT_EQ(rows.as<float>()[5], 3.0F);
  const Tensor middle = columns(x, 1, 3);
  EXPECT_EQ(middle.as<float>()[2], 5.0F);
  EXPECT_THROW(columns(x, 2, 4), Error);
  const std::vector<std::int32_t> outside{2};
  EXPECT_THROW(gather_rows(x, outside), Error);
}

TEST_F(OperationsTest, NormsOfRowsWithOneShapeOrAnother) {
  const Tensor x = normal({4, 6, 10}, 12);
  const Tensor weight = normal({10}, 13);
  const Tensor three = rms_norm(x, weight, 1e-6F);
  const Tensor two = rms_norm(x.reshape({24, 10}), weight, 1e-6F);
  EXPECT_EQ(std::memcmp(three.raw(), two.raw(), two.bytes()), 0);
  EXPECT_THROW(rms_norm(x, normal({9}, 1), 1e-6F), Error);
  EXPECT_THROW(layer_norm(x, weight, normal({9}, 1), 1e-6F), Error);
}

TEST_F(OperationsTest, MachinePeakIsAPositiveFiniteNumber) {
  const MachinePeak peak = measure_machine_peak(1 << 20);
  EXPECT_GT(peak.read_bytes_per_second, 0);
  EXPECT_GT(peak.flops_per_second, 0);
  EXPECT_TRUE(std::isfinite(peak.read_bytes_per_second));
  EXPECT_TRUE(std::isfinite(peak.flops_per_second));
  const bool bytes = kernels::active().multiply_bytes != nullptr;
  EXPECT_EQ(peak.byte_ops_per_second > 0, bytes);
  EXPECT_TRUE(std::isfinite(peak.byte_ops_per_second));
}

}  // namespace
}  // namespace tessera::ops
