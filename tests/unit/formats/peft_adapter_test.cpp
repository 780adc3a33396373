// PEFT's files: what is read, and what is refused with which words.
#include "formats/peft_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "formats/safetensors_writer.h"
#include "support/error_of.h"
#include "support/test_paths.h"

namespace tessera::formats {
namespace {

using nlohmann::json;
using tessera::testing::error_of;
using ::testing::HasSubstr;

class PeftAdapterFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    config_ = {{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 6}, {"target_modules", {"q_proj"}}};
    add("model.layers.0.self_attn.q_proj", 2);
    add("model.layers.1.self_attn.q_proj", 2);
  }
  void add(const std::string& module, std::int64_t r, DType dtype = DType::f32) {
    weights_.add_tensor("base_model.model." + module + ".lora_A.weight", Tensor::zeros({r, 5}, dtype));
    weights_.add_tensor("base_model.model." + module + ".lora_B.weight", Tensor::zeros({3, r}, dtype));
  }
  PeftAdapter read() {
    write_file_atomically((folder_.path() / "adapter_config.json").string(), config_.dump());
    weights_.write((folder_.path() / "adapter_model.safetensors").string());
    return read_peft_adapter(folder_.path().string());
  }
  std::string error() {
    return error_of([&] { read(); });
  }

  tessera::testing::TemporaryFolder folder_;
  json config_;
  SafetensorsWriter weights_;
};

TEST_F(PeftAdapterFiles, GiveModulesTheirScale) {
  const PeftAdapter adapter = read();
  ASSERT_EQ(adapter.adapter.modules.size(), 2U);
  EXPECT_EQ(adapter.adapter.modules[0].module, "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(adapter.adapter.modules[0].scale, 3.0);
  config_["use_rslora"] = true;
  EXPECT_DOUBLE_EQ(read().adapter.modules[0].scale, 6 / std::sqrt(2.0));
}

TEST_F(PeftAdapterFiles, FollowPatterns) {
  add("model.layers.0.mlp.up_proj", 4, DType::bf16);
  EXPECT_THAT(error(), HasSubstr("expected rank 2"));
  config_["rank_pattern"] = {{"up_proj", 4}};
  config_["alpha_pattern"] = {{"^model.layers.1.self_attn.q_proj", 1}};
  const PeftAdapter adapter = read();
  EXPECT_EQ(adapter.adapter.modules[0].scale, 6.0 / 4);
  EXPECT_EQ(adapter.adapter.modules[1].scale, 6.0 / 2);
  EXPECT_EQ(adapter.adapter.modules[2].scale, 1.0 / 2);
  config_["rank_pattern"] = {{"up_.*", 4}};
  EXPECT_THAT(error(), HasSubstr("regular expression"));
}

TEST_F(PeftAdapterFiles, AreWrittenSoThatTheyReadTheSame) {
  PeftAdapter adapter = read();
  adapter.config.use_rslora = true;
  const tessera::testing::TemporaryFolder other;
  write_peft_adapter(other.path().string(), adapter);
  const PeftAdapter again = read_peft_adapter(other.path().string());
  EXPECT_EQ(again.config.r, 2);
  EXPECT_EQ(again.config.lora_alpha, 6);
  EXPECT_TRUE(again.config.use_rslora);
  EXPECT_EQ(again.config.target_modules, std::vector<std::string>{"q_proj"});
  EXPECT_EQ(again.adapter.modules.size(), 2U);
}

TEST_F(PeftAdapterFiles, RefuseABadRank) {
  for (const json& wrong : {json(0), json(-3), json(1.5), json("8"), json(1e12), json()}) {
    config_["r"] = wrong;
    EXPECT_THAT(error(), HasSubstr("key 'r'")) << wrong;
  }
  config_.erase("r");
  EXPECT_THAT(error(), HasSubstr("key 'r'"));
}

TEST_F(PeftAdapterFiles, RefuseWhatIsMoreThanLora) {
  const auto with = [&](const char* key, const json& value) {
    const json before = config_;
    config_[key] = value;
    const std::string message = error();
    config_ = before;
    return message;
  };
  EXPECT_THAT(with("peft_type", "IA3"), HasSubstr("IA3"));
  EXPECT_THAT(with("use_dora", true), HasSubstr("use_dora"));
  EXPECT_THAT(with("bias", "all"), HasSubstr("bias"));
  EXPECT_THAT(with("modules_to_save", {"lm_head"}), HasSubstr("modules_to_save"));
  EXPECT_THAT(with("init_lora_weights", "pissa_niter_4"), HasSubstr("changes the base"));
  EXPECT_THAT(with("lora_alpha", "much"), HasSubstr("lora_alpha"));
  EXPECT_THAT(with("use_rslora", 1), HasSubstr("use_rslora"));
  EXPECT_THAT(with("rank_pattern", {1, 2}), HasSubstr("rank_pattern"));
}

TEST_F(PeftAdapterFiles, RefuseOtherTensors) {
  weights_.add_tensor("base_model.model.model.embed_tokens.lora_embedding_A", Tensor::zeros({2, 5}));
  EXPECT_THAT(error(), HasSubstr("lora_embedding_A"));
}

TEST_F(PeftAdapterFiles, RefuseAWithoutB) {
  weights_.add_tensor("base_model.model.model.layers.0.mlp.up_proj.lora_A.weight", Tensor::zeros({2, 5}));
  EXPECT_THAT(error(), HasSubstr("found lora_A alone"));
}

TEST_F(PeftAdapterFiles, SayWhichFileIsMissing) {
  EXPECT_FALSE(is_peft_adapter(folder_.path().string()));
  EXPECT_THAT(error_of([&] { read_peft_adapter(folder_.path().string()); }),
              HasSubstr("no adapter_config.json"));
  read();
  EXPECT_TRUE(is_peft_adapter(folder_.path().string()));
  std::filesystem::remove(folder_.path() / "adapter_model.safetensors");
  EXPECT_THAT(error_of([&] { read_peft_adapter(folder_.path().string()); }),
              HasSubstr("no adapter_model.safetensors"));
}

}  // namespace
}  // namespace tessera::formats
