// Keys under both naming schemes, ranges, nulls and defaults.
#include "models/config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "memory_weights.h"
#include "models/model.h"

namespace tessera::models {
namespace {

using ::testing::HasSubstr;

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(ConfigReader, ReadsTheSameKeyUnderBothSchemes) {
  MemoryWeights hugging_face(NamingScheme::hugging_face, "LlamaForCausalLM");
  hugging_face.configuration().set("hidden_size", std::int64_t{48});
  EXPECT_EQ(ConfigReader(hugging_face).dimension("hidden_size"), 48);
  MemoryWeights gguf(NamingScheme::gguf, "llama");
  gguf.configuration().set("llama.embedding_length", std::int64_t{48});
  EXPECT_EQ(ConfigReader(gguf).dimension("hidden_size"), 48);
  EXPECT_EQ(ConfigReader(gguf).file_key("rope_theta"), "llama.rope.freq_base");
  EXPECT_EQ(ConfigReader(gguf).file_key("rope.dimension_count"), "llama.rope.dimension_count");
  EXPECT_EQ(ConfigReader(gguf).file_key("attention_bias"), "");
}

TEST(ConfigReader, KeysThatGgufDoesNotHaveFallBack) {
  const MemoryWeights gguf(NamingScheme::gguf, "llama");
  const ConfigReader config(gguf);
  EXPECT_TRUE(config.boolean_or("attention_bias", true));
  EXPECT_EQ(config.text_or("hidden_act", "silu"), "silu");
  EXPECT_EQ(config.activation("hidden_act", "gelu_new"), ops::Activation::gelu_tanh);
  EXPECT_EQ(config.find_positive("partial_rotary_factor"), std::nullopt);
}

TEST(ConfigReader, HoldsNumbersToTheirRange) {
  MemoryWeights source(NamingScheme::hugging_face, "LlamaForCausalLM");
  Metadata& values = source.configuration();
  values.set("zero", std::int64_t{0});
  values.set("eight", std::int64_t{8});
  values.set("wide", std::int64_t{1} << 40);
  values.set("negative", -1.0);
  values.set("infinite", std::numeric_limits<double>::infinity());
  values.set("nan", std::numeric_limits<double>::quiet_NaN());
  values.set_text("text", "8");
  const ConfigReader config(source);
  EXPECT_EQ(config.dimension("eight"), 8);
  EXPECT_EQ(config.dimension_or("missing", 5), 5);
  EXPECT_EQ(config.positive("eight"), 8.0);
  for (const char* key : {"zero", "wide", "text", "missing"}) {
    EXPECT_THAT(error_of([&] { (void)config.dimension(key); }), HasSubstr(key));
  }
  for (const char* key : {"zero", "negative", "infinite", "nan", "text", "missing"}) {
    EXPECT_THAT(error_of([&] { (void)config.positive(key); }), HasSubstr(key));
  }
}

TEST(ConfigReader, TellsNullFromMissing) {
  MemoryWeights source(NamingScheme::hugging_face, "MistralForCausalLM");
  source.configuration().set("sliding_window", std::monostate{});
  source.configuration().set("cap", std::monostate{});
  const ConfigReader config(source);
  EXPECT_EQ(config.window_or("sliding_window", 4096), 0);
  EXPECT_EQ(config.window_or("other_window", 4096), 4096);
  EXPECT_EQ(config.positive_or_none("cap", 50.0), 0.0);
  EXPECT_EQ(config.positive_or_none("other_cap", 50.0), 50.0);
}

TEST(ConfigReader, RejectsWhatItCannotRun) {
  MemoryWeights quantised(NamingScheme::hugging_face, "LlamaForCausalLM");
  quantised.configuration().set_text("quantization_config.quant_method", "awq");
  EXPECT_THAT(error_of([&] { ConfigReader reader(quantised); }), HasSubstr("awq"));
  MemoryWeights experts(NamingScheme::gguf, "llama");
  experts.configuration().set("llama.expert_count", std::int64_t{8});
  EXPECT_THAT(error_of([&] { ConfigReader reader(experts); }), HasSubstr("llama.expert_count"));
  MemoryWeights source(NamingScheme::hugging_face, "LlamaForCausalLM");
  source.configuration().set("odd", true);
  source.configuration().set_text("hidden_act", "swoosh");
  const ConfigReader config(source);
  EXPECT_THAT(error_of([&] { config.forbid_true("odd"); }), HasSubstr("'odd'"));
  EXPECT_EQ(error_of([&] { config.forbid_true("even"); }), "no error");
  EXPECT_THAT(error_of([&] { (void)config.activation("hidden_act", "silu"); }), HasSubstr("swoosh"));
}

TEST(Registry, NamesEachArchitectureOnce) {
  std::vector<std::string> names;
  for (const ArchitectureNames& architecture : registered_architectures()) {
    names.push_back(architecture.name);
    EXPECT_FALSE(architecture.hugging_face.empty()) << architecture.name;
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("llama", "mistral", "smollm3", "qwen2", "qwen3", "phi3",
                                                     "gemma2", "gemma3", "gpt2", "plain_transformer"));
  const MemoryWeights unknown(NamingScheme::gguf, "mamba");
  const std::string error = error_of([&] { create_model(unknown); });
  EXPECT_THAT(error, HasSubstr("'mamba'"));
  EXPECT_THAT(error, HasSubstr("qwen3"));
}

}  // namespace
}  // namespace tessera::models
