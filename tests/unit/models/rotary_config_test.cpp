// Every spelling of a rope configuration that files use, read into the same parameters.
#include "models/rotary_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/error.h"
#include "memory_weights.h"

namespace tessera::models {
namespace {

using nn::RopeType;
using ::testing::HasSubstr;

class HuggingFaceRope : public ::testing::Test {
 protected:
  nn::RotaryParameters read(RotaryRequest request = {}) {
    request.head_dim = 8;
    request.max_position_embeddings = 64;
    WeightLoader weights(source_, {});
    return read_rotary(ConfigReader(source_), weights, request);
  }
  std::string error(const RotaryRequest& request = {}) {
    try {
      read(request);
    } catch (const Error& found) {
      return found.what();
    }
    return "no error";
  }
  Metadata& config() { return source_.configuration(); }

  MemoryWeights source_{NamingScheme::hugging_face, "LlamaForCausalLM"};
};

class GgufRope : public HuggingFaceRope {
 protected:
  GgufRope() { source_ = MemoryWeights(NamingScheme::gguf, "llama"); }
};

TEST_F(HuggingFaceRope, IsPlainWhenNothingIsSaid) {
  const nn::RotaryParameters p = read();
  EXPECT_EQ(p.type, RopeType::none);
  EXPECT_EQ(p.theta, 10000.0);
  EXPECT_EQ(p.rotary_dim, 8);
  EXPECT_EQ(p.layout, ops::RotaryLayout::half);
}

TEST_F(HuggingFaceRope, OldAndNewSpellingsMeanTheSame) {
  config().set("rope_theta", 500.0);
  config().set_text("rope_scaling.type", "linear");
  config().set("rope_scaling.factor", std::int64_t{4});
  const nn::RotaryParameters old = read();
  source_ = MemoryWeights(NamingScheme::hugging_face, "LlamaForCausalLM");
  config().set("rope_parameters.rope_theta", 500.0);
  config().set_text("rope_parameters.rope_type", "linear");
  config().set("rope_parameters.factor", 4.0);
  const nn::RotaryParameters now = read();
  for (const nn::RotaryParameters& p : {old, now}) {
    EXPECT_EQ(p.type, RopeType::linear);
    EXPECT_EQ(p.theta, 500.0);
    EXPECT_EQ(p.factor, 4.0);
  }
}

TEST_F(HuggingFaceRope, EachKindOfLayerReadsItsOwnDictionary) {
  config().set("rope_parameters.full_attention.rope_theta", 1e6);
  config().set_text("rope_parameters.full_attention.rope_type", "linear");
  config().set("rope_parameters.full_attention.factor", 8.0);
  config().set("rope_parameters.sliding_attention.rope_theta", 1e4);
  config().set_text("rope_parameters.sliding_attention.rope_type", "default");
  const nn::RotaryParameters full =
      read({.dictionaries = {"rope_scaling.", "rope_parameters.full_attention."}});
  const nn::RotaryParameters local = read({.dictionaries = {"rope_parameters.sliding_attention."}});
  EXPECT_EQ(full.type, RopeType::linear);
  EXPECT_EQ(full.theta, 1e6);
  EXPECT_EQ(local.type, RopeType::none);
  EXPECT_EQ(local.theta, 1e4);
}

TEST_F(HuggingFaceRope, ALocalRotationIgnoresTheGlobalScaling) {
  config().set_text("rope_scaling.rope_type", "linear");
  config().set("rope_scaling.factor", 8.0);
  config().set("rope_local_base_freq", 777.0);
  const nn::RotaryParameters local =
      read({.theta_key = "rope_local_base_freq", .dictionaries = {"rope_parameters.sliding_attention."}});
  EXPECT_EQ(local.type, RopeType::none);
  EXPECT_EQ(local.theta, 777.0);
}

TEST_F(HuggingFaceRope, YarnReadsAllItsKnobs) {
  config().set_text("rope_scaling.rope_type", "yarn");
  config().set("rope_scaling.original_max_position_embeddings", std::int64_t{16});
  config().set("rope_scaling.beta_fast", 20.0);
  config().set("rope_scaling.truncate", false);
  config().set("rope_scaling.mscale", 0.7);
  config().set("rope_scaling.mscale_all_dim", 0.5);
  const nn::RotaryParameters p = read();
  EXPECT_EQ(p.type, RopeType::yarn);
  EXPECT_EQ(p.factor, 4.0);  // 64 / 16 where no factor is given
  EXPECT_EQ(p.original_max_position_embeddings, 16);
  EXPECT_EQ(p.beta_fast, 20.0);
  EXPECT_FALSE(p.truncate);
  EXPECT_EQ(p.mscale, 0.7);
  EXPECT_EQ(p.mscale_all_dim, 0.5);
}

TEST_F(HuggingFaceRope, DynamicStartsFromTheModelsContext) {
  config().set_text("rope_scaling.type", "dynamic");
  EXPECT_THAT(error(), HasSubstr("rope_scaling.factor"));
  config().set("rope_scaling.factor", 2.0);
  EXPECT_EQ(read().original_max_position_embeddings, 64);
}

TEST_F(HuggingFaceRope, LongropeTakesTheSetThatTheContextNeeds) {
  config().set_text("rope_scaling.type", "yarn");  // early Phi-3
  config().set("rope_scaling.short_factor", Metadata::FloatArray{1, 1, 1, 1.5});
  config().set("rope_scaling.long_factor", Metadata::FloatArray{1, 2, 3, 4});
  config().set("original_max_position_embeddings", std::int64_t{16});
  const nn::RotaryParameters brief = read({.yarn_is_longrope = true, .context_size = 16});
  EXPECT_EQ(brief.type, RopeType::longrope);
  EXPECT_THAT(brief.frequency_factors, ::testing::ElementsAre(1, 1, 1, 1.5));
  const nn::RotaryParameters lengthy = read({.yarn_is_longrope = true, .context_size = 17});
  EXPECT_THAT(lengthy.frequency_factors, ::testing::ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(lengthy.factor, 4.0);
  EXPECT_TRUE(lengthy.long_context);
}

TEST_F(HuggingFaceRope, PartsOfAHeadAreWholePairs) {
  config().set("partial_rotary_factor", 0.5);
  EXPECT_EQ(read().rotary_dim, 4);
  source_ = MemoryWeights(NamingScheme::hugging_face, "LlamaForCausalLM");
  config().set("partial_rotary_factor", 0.4);  // 3 of 8
  EXPECT_THAT(error(), HasSubstr("3 of head_dim 8"));
}

TEST_F(HuggingFaceRope, NamesATypeItDoesNotKnow) {
  config().set_text("rope_parameters.rope_type", "proportional");
  EXPECT_THAT(error(), HasSubstr("'rope_parameters.rope_type'"));
  EXPECT_THAT(error(), HasSubstr("proportional"));
}

TEST_F(GgufRope, ReadsItsOwnKeysAndPermutation) {
  config().set("llama.rope.freq_base", 1234.0);
  config().set("llama.rope.dimension_count", std::int64_t{4});
  config().set_text("llama.rope.scaling.type", "linear");
  config().set("llama.rope.scaling.factor", 2.0);
  const nn::RotaryParameters p = read({.gguf_permuted = true});
  EXPECT_EQ(p.theta, 1234.0);
  EXPECT_EQ(p.rotary_dim, 4);
  EXPECT_EQ(p.type, RopeType::linear);
  EXPECT_EQ(p.factor, 2.0);
  EXPECT_EQ(p.layout, ops::RotaryLayout::interleaved);
  EXPECT_EQ(read().layout, ops::RotaryLayout::half);
}

TEST_F(GgufRope, FirstFilesSaidLinearInAnotherWay) {
  config().set("llama.rope.scale_linear", 4.0);
  EXPECT_EQ(read().type, RopeType::linear);
  EXPECT_EQ(read().factor, 4.0);
}

TEST_F(GgufRope, StoredFactorsAreLlama3OrLongrope) {
  source_.add("rope_freqs.weight", Tensor::from_values({4}, std::vector<float>{1, 1, 4, 8}));
  EXPECT_EQ(read().type, RopeType::none);
  EXPECT_THAT(read().frequency_factors, ::testing::ElementsAre(1, 1, 4, 8));
  source_ = MemoryWeights(NamingScheme::gguf, "llama");
  source_.add("rope_factors_short.weight", Tensor::from_values({4}, std::vector<float>{1, 1, 1, 2}));
  source_.add("rope_factors_long.weight", Tensor::from_values({4}, std::vector<float>{1, 2, 3, 4}));
  config().set("llama.rope.scaling.original_context_length", std::int64_t{16});
  config().set("llama.rope.scaling.attn_factor", 1.25);
  EXPECT_EQ(read().type, RopeType::longrope);
  EXPECT_THAT(read().frequency_factors, ::testing::ElementsAre(1, 1, 1, 2));
  EXPECT_THAT(read({.context_size = 64}).frequency_factors, ::testing::ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(read().attention_factor, 1.25);
}

TEST_F(GgufRope, StoredFactorsMustBePositiveAndAsManyAsPairs) {
  source_.add("rope_freqs.weight", Tensor::from_values({4}, std::vector<float>{1, 1, 0, 8}));
  EXPECT_THAT(error(), HasSubstr("rope_freqs.weight"));
  source_ = MemoryWeights(NamingScheme::gguf, "llama");
  source_.add("rope_freqs.weight", Tensor::from_values({3}, std::vector<float>{1, 1, 8}));
  EXPECT_THAT(error(), HasSubstr("expected shape [4], found [3]"));
}

TEST_F(GgufRope, YarnsExtraFactorMultipliesThePapersMagnitude) {
  config().set_text("llama.rope.scaling.type", "yarn");
  config().set("llama.rope.scaling.factor", 4.0);
  config().set("llama.rope.scaling.original_context_length", std::int64_t{16});
  EXPECT_EQ(read().attention_factor, std::nullopt);
  config().set("llama.rope.scaling.attn_factor", 2.0);
  EXPECT_DOUBLE_EQ(read().attention_factor.value_or(0.0), 2.0 * (0.1 * std::log(4.0) + 1.0));
  config().set("llama.rope.scaling.yarn_ext_factor", 0.5);
  EXPECT_THAT(error(), HasSubstr("yarn_ext_factor"));
}

}  // namespace
}  // namespace tessera::models
