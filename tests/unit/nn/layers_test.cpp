// Linear, Embedding, norms and MLPs: that they pass on the right tensors, hold what they are given, and split
// what is fused.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/error.h"
#include "base/float16.h"
#include "nn/attention/dense_attention.h"
#include "nn/attention/self_attention.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/mlp.h"
#include "nn/norm.h"

namespace tessera::nn {
namespace {

Tensor random(const Shape& shape, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  Tensor tensor = Tensor::empty(shape);
  for (float& value : tensor.as_mutable<float>()) value = normal(generator);
  return tensor;
}

std::vector<float> values(const Tensor& tensor) {
  return {tensor.as<float>().begin(), tensor.as<float>().end()};
}

TEST(Linear, AddsItsBiasToEachRow) {
  const Linear linear(Tensor::from_values({2, 3}, std::vector<float>{1, 0, 0, 0, 1, 1}),
                      Tensor::from_values({2}, std::vector<float>{10, 20}));
  EXPECT_EQ(linear.in_features(), 3);
  EXPECT_EQ(linear.out_features(), 2);
  const Tensor y = linear(Tensor::from_values({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(values(y), (std::vector<float>{11, 25, 14, 31}));
}

TEST(Linear, RunsAtTheStoredPrecisionWithoutACopy) {
  Tensor weight = Tensor::empty({2, 4}, DType::bf16);
  std::uint16_t next = 0;
  for (std::uint16_t& bits : weight.as_mutable<std::uint16_t>())
    bits = f32_to_bf16(static_cast<float>(next++));
  const Linear linear(weight);
  EXPECT_EQ(linear.weight().raw(), weight.raw());
  EXPECT_EQ(linear.weight().dtype(), DType::bf16);
  EXPECT_EQ(values(linear(Tensor::from_values({1, 4}, std::vector<float>{1, 1, 1, 2}))),
            (std::vector<float>{9, 29}));
}

TEST(Linear, RejectsABiasOfAnotherSizeOrType) {
  EXPECT_THROW(Linear(random({4, 3}, 1), random({3}, 2)), Error);
  EXPECT_THROW(Linear(random({4, 3}, 1), Tensor::zeros({4}, DType::f16)), Error);
  EXPECT_THROW(Linear(random({4}, 1)), Error);
  EXPECT_THROW(Linear(Tensor{}), Error);
}

TEST(Linear, OutputsShareTheStorageOfTheWhole) {
  const Linear whole(random({6, 5}, 1), random({6}, 2));
  const Linear part = whole.outputs(2, 5);
  EXPECT_EQ(part.weight().stored().storage(), whole.weight().stored().storage());
  const Tensor x = random({3, 5}, 3);
  const Tensor all = whole(x);
  const Tensor some = part(x);
  for (std::size_t t = 0; t < 3; ++t) {
    for (std::size_t n = 0; n < 3; ++n)
      EXPECT_EQ(some.as<float>()[t * 3 + n], all.as<float>()[t * 6 + n + 2]);
  }
}

TEST(Embedding, NamesAnIdOutsideTheTable) {
  const Embedding embedding(random({5, 4}, 1));
  const std::vector<std::int32_t> ids = {4, 0};
  EXPECT_EQ(embedding(ids).shape(), (Shape{2, 4}));
  for (const std::int32_t outside : {5, -1}) {
    const std::vector<std::int32_t> wrong = {outside};
    try {
      embedding(wrong);
      FAIL() << outside;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      EXPECT_NE(std::string(error.what()).find(std::to_string(outside)), std::string::npos) << error.what();
    }
  }
}

TEST(SinusoidalPositions, AreSineAndCosineSideBySide) {
  const std::vector<std::int32_t> positions = {0, 1, 1000000};
  const Tensor table = sinusoidal_positions(positions, 4);
  ASSERT_EQ(table.shape(), (Shape{3, 4}));
  const std::span<const float> at = table.as<float>();
  EXPECT_EQ(values(table.rows(0, 1)), (std::vector<float>{0, 1, 0, 1}));
  EXPECT_FLOAT_EQ(at[4], std::sin(1.0F));
  EXPECT_FLOAT_EQ(at[5], std::cos(1.0F));
  EXPECT_FLOAT_EQ(at[6], std::sin(0.01F));  // 10000^(2/4) = 100
  EXPECT_FLOAT_EQ(at[8], static_cast<float>(std::sin(1e6)));
  EXPECT_THROW(sinusoidal_positions(positions, 3), Error);
}

TEST(Norms, HandWorkedRows) {
  const Tensor x = Tensor::from_values({1, 2}, std::vector<float>{3, 4});
  const Tensor weight = Tensor::from_values({2}, std::vector<float>{1, 2});
  const float root_mean_square = std::sqrt(12.5F);
  const Tensor plain = RmsNorm(weight, 0.0F)(x);
  EXPECT_FLOAT_EQ(plain.as<float>()[0], 3 / root_mean_square);
  EXPECT_FLOAT_EQ(plain.as<float>()[1], 8 / root_mean_square);
  const Tensor gemma = RmsNorm(weight, 0.0F, true)(x);
  EXPECT_FLOAT_EQ(gemma.as<float>()[1], 12 / root_mean_square);
  const Tensor layer = LayerNorm(weight, Tensor::from_values({2}, std::vector<float>{5, 6}), 0.0F)(x);
  EXPECT_FLOAT_EQ(layer.as<float>()[0], 4.0F);
  EXPECT_FLOAT_EQ(layer.as<float>()[1], 8.0F);
}

TEST(GatedMlp, FusedAndSeparateMatricesAgreeToTheBit) {
  const Linear fused(random({12, 8}, 1));
  const Linear down(random({8, 6}, 2));
  const Tensor x = random({5, 8}, 3);
  for (const auto activation : {ops::Activation::silu, ops::Activation::gelu_tanh}) {
    const GatedMlp one(fused, down, activation);
    const GatedMlp two(fused.outputs(0, 6), fused.outputs(6, 12), down, activation);
    EXPECT_EQ(values(one(x)), values(two(x)));
  }
}

TEST(Mlp, IsItsTwoMatricesAroundTheActivation) {
  const Mlp mlp(Linear(Tensor::from_values({2, 1}, std::vector<float>{1, -1})),
                Linear(Tensor::from_values({1, 2}, std::vector<float>{3, 5})), ops::Activation::relu);
  EXPECT_EQ(values(mlp(Tensor::from_values({2, 1}, std::vector<float>{2, -4}))), (std::vector<float>{6, 20}));
}

// A fused projection taken apart must be the same attention; and the first token can see only itself, so its
// output is its own value projected.
TEST(SelfAttention, FirstTokenGetsItsOwnValue) {
  SelfAttention attention;
  const Linear fused(random({16, 8}, 1));  // H = 2, K = 1, D = 4
  split_fused_projection(fused, 8, 4, attention);
  attention.o_proj = Linear(random({8, 8}, 2));
  attention.head_dim = 4;
  attention.parameters.scale = 0.5F;
  EXPECT_EQ(attention.q_proj.out_features(), 8);
  EXPECT_EQ(attention.v_proj.out_features(), 4);
  const Tensor x = random({1, 8}, 3);
  const std::vector<std::int32_t> token = {0}, position = {0}, start = {0, 1}, length = {1}, slot = {0},
                                  table = {0};
  const RaggedBatch batch{token, position, start, length, slot, table, 1};
  DenseAttention dense;
  const Tensor y = attention(0, x, batch, dense);
  const Tensor v = attention.v_proj(x);  // [1, 4]: both query heads read this one
  Tensor repeated = Tensor::empty({1, 8});
  for (std::size_t i = 0; i < 8; ++i) repeated.as_mutable<float>()[i] = v.as<float>()[i % 4];
  const Tensor expected = attention.o_proj(repeated);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_FLOAT_EQ(y.as<float>()[i], expected.as<float>()[i]);
}

}  // namespace
}  // namespace tessera::nn
