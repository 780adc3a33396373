// Frequencies against the formulas of the papers at the points where these are plain, and the rotation
// itself. That all types agree with Hugging Face on whole models is tested in tests/models.
#include "nn/rotary_embedding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/error.h"

namespace tessera::nn {
namespace {

RotaryParameters parameters(RopeType type, std::int64_t rotary_dim = 64) {
  RotaryParameters p;
  p.type = type;
  p.rotary_dim = rotary_dim;
  p.original_max_position_embeddings = 1024;
  return p;
}

std::vector<float> frequencies(const RotaryParameters& p) {
  const RotaryEmbedding rotary(p);
  return {rotary.inverse_frequencies().begin(), rotary.inverse_frequencies().end()};
}

TEST(RotaryEmbedding, KnowsItsTypesByName) {
  EXPECT_EQ(rope_type_from_name("default"), RopeType::none);
  EXPECT_EQ(rope_type_from_name("none"), RopeType::none);
  EXPECT_EQ(rope_type_from_name("su"), RopeType::longrope);
  EXPECT_EQ(rope_type_from_name("yarn"), RopeType::yarn);
  EXPECT_EQ(rope_type_from_name("Linear"), std::nullopt);
  EXPECT_EQ(rope_type_from_name(""), std::nullopt);
}

TEST(RotaryEmbedding, FrequenciesFallGeometricallyFromOne) {
  const std::vector<float> plain = frequencies(parameters(RopeType::none));
  ASSERT_EQ(plain.size(), 32U);
  EXPECT_FLOAT_EQ(plain.front(), 1.0F);
  EXPECT_FLOAT_EQ(plain[16], 0.01F);  // 10000^(-32/64)
  for (std::size_t i = 1; i < plain.size(); ++i) EXPECT_LT(plain[i], plain[i - 1]);
}

TEST(RotaryEmbedding, LinearDividesEveryFrequency) {
  RotaryParameters p = parameters(RopeType::linear);
  p.factor = 4.0;
  const std::vector<float> plain = frequencies(parameters(RopeType::none));
  const std::vector<float> scaled = frequencies(p);
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_FLOAT_EQ(scaled[i], plain[i] / 4.0F) << i;
}

// Llama 3.1 and YaRN: pairs that turn often keep their frequency, pairs that hardly turn are divided by the
// factor, and between them nothing leaves that band.
TEST(RotaryEmbedding, Llama3AndYarnKeepFastPairsAndStretchSlowOnes) {
  const std::vector<float> plain = frequencies(parameters(RopeType::none));
  for (const RopeType type : {RopeType::llama3, RopeType::yarn}) {
    RotaryParameters p = parameters(type);
    p.factor = 8.0;
    const std::vector<float> scaled = frequencies(p);
    EXPECT_FLOAT_EQ(scaled.front(), plain.front());
    EXPECT_FLOAT_EQ(scaled.back(), plain.back() / 8.0F);
    for (std::size_t i = 0; i < plain.size(); ++i) {
      EXPECT_LE(scaled[i], plain[i] * (1 + 1e-6F)) << i;
      EXPECT_GE(scaled[i], plain[i] / 8.0F * (1 - 1e-6F)) << i;
    }
  }
}

TEST(RotaryEmbedding, MagnitudeFollowsThePapers) {
  EXPECT_FLOAT_EQ(RotaryEmbedding(parameters(RopeType::linear)).magnitude(), 1.0F);
  RotaryParameters yarn = parameters(RopeType::yarn);
  yarn.factor = std::exp(1.0);
  EXPECT_FLOAT_EQ(RotaryEmbedding(yarn).magnitude(), 1.1F);  // 0.1 ln(factor) + 1
  yarn.attention_factor = 0.5;
  EXPECT_FLOAT_EQ(RotaryEmbedding(yarn).magnitude(), 0.5F);
  RotaryParameters longrope = parameters(RopeType::longrope);
  longrope.factor = 1024.0;  // sqrt(1 + ln(1024) / ln(1024))
  EXPECT_FLOAT_EQ(RotaryEmbedding(longrope).magnitude(), std::numbers::sqrt2_v<float>);
}

TEST(RotaryEmbedding, FactorsDivideTheirOwnFrequency) {
  RotaryParameters p = parameters(RopeType::longrope, 6);
  p.frequency_factors = {1.0F, 2.0F, 4.0F};
  const std::vector<float> plain = frequencies(parameters(RopeType::none, 6));
  const std::vector<float> scaled = frequencies(p);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_FLOAT_EQ(scaled[i], plain[i] / p.frequency_factors[i]);
}

TEST(RotaryEmbedding, RejectsWhatCannotBeRotated) {
  EXPECT_THROW(RotaryEmbedding(parameters(RopeType::none, 7)), Error);
  EXPECT_THROW(RotaryEmbedding(parameters(RopeType::none, 0)), Error);
  RotaryParameters p = parameters(RopeType::longrope, 8);
  p.frequency_factors = {1.0F};
  EXPECT_THROW(RotaryEmbedding{p}, Error);
}

Tensor ramp(std::int64_t tokens, std::int64_t heads, std::int64_t head_dim) {
  Tensor x = Tensor::empty({tokens, heads, head_dim});
  float next = 0.0F;
  for (float& value : x.as_mutable<float>()) value = std::sin(next += 0.7F);
  return x;
}

float dot(std::span<const float> a, std::span<const float> b) {
  float sum = 0.0F;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// The property rotary embedding is made for: a score depends on the distance of two positions alone.
TEST(RotaryEmbedding, ScoresDependOnDistanceAlone) {
  for (const auto layout : {ops::RotaryLayout::half, ops::RotaryLayout::interleaved}) {
    RotaryParameters p = parameters(RopeType::none, 8);
    p.layout = layout;
    const RotaryEmbedding rotary(p);
    std::vector<float> scores;
    for (const std::int32_t start : {0, 3, 40}) {
      Tensor q = ramp(1, 1, 8);
      Tensor k = ramp(1, 1, 8);
      k.as_mutable<float>()[0] += 1.0F;
      Tensor unused = ramp(1, 1, 8);
      const std::vector<std::int32_t> query_position = {start + 5};
      const std::vector<std::int32_t> key_position = {start};
      rotary.apply(q, unused, query_position);
      rotary.apply(unused, k, key_position);
      scores.push_back(dot(q.as<float>(), k.as<float>()));
    }
    // Eight products of values of at most 2: off by less than 8 * 4 * 2^-23 from rounding angles and sums.
    EXPECT_NEAR(scores[1], scores[0], 1e-5F);
    EXPECT_NEAR(scores[2], scores[0], 1e-5F);
  }
}

TEST(RotaryEmbedding, LeavesTheRestOfAPartlyRotatedHeadAlone) {
  const RotaryEmbedding rotary(parameters(RopeType::none, 4));
  Tensor q = ramp(3, 2, 10);
  Tensor k = ramp(3, 1, 10);
  const Tensor before = ramp(3, 2, 10);
  const std::vector<std::int32_t> positions = {1, 2, 3};
  rotary.apply(q, k, positions);
  for (std::size_t head = 0; head < 6; ++head) {
    EXPECT_NE(q.as<float>()[head * 10], before.as<float>()[head * 10]);
    for (std::size_t i = 4; i < 10; ++i)
      EXPECT_EQ(q.as<float>()[head * 10 + i], before.as<float>()[head * 10 + i]);
  }
}

// Dynamic NTK: within the trained context nothing changes; beyond it each token turns by its own position's
// base, so that a batch gives what its tokens give one by one.
TEST(RotaryEmbedding, DynamicChangesOnlyPositionsBeyondTheTrainedContext) {
  RotaryParameters p = parameters(RopeType::dynamic, 8);
  p.factor = 2.0;
  p.original_max_position_embeddings = 16;
  const RotaryEmbedding dynamic(p);
  const RotaryEmbedding plain(parameters(RopeType::none, 8));
  const std::vector<std::int32_t> positions = {14, 15, 16, 40};
  Tensor a = ramp(4, 2, 8), b = ramp(4, 2, 8), unused = ramp(4, 2, 8);
  dynamic.apply(a, unused, positions);
  unused = ramp(4, 2, 8);
  plain.apply(b, unused, positions);
  const auto row = [](const Tensor& x, std::int64_t t) {
    const std::span<const float> values = x.as<float>().subspan(static_cast<std::size_t>(t) * 16, 16);
    return std::vector<float>(values.begin(), values.end());
  };
  EXPECT_EQ(row(a, 0), row(b, 0));
  EXPECT_EQ(row(a, 1), row(b, 1));
  EXPECT_NE(row(a, 2), row(b, 2));
  EXPECT_NE(row(a, 3), row(b, 3));
  Tensor alone = ramp(4, 2, 8).rows(3, 4);
  Tensor unused_row = ramp(1, 2, 8);
  dynamic.apply(alone, unused_row, std::span(positions).subspan(3, 1));
  EXPECT_EQ(row(a, 3), row(alone, 0));
}

}  // namespace
}  // namespace tessera::nn
