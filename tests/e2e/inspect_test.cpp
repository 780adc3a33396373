#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "formats/gguf_writer.h"
#include "formats/safetensors_writer.h"
#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

nlohmann::json inspect_json(const std::string& model, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{"inspect", model, "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const CommandResult result = run_tessera(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  return nlohmann::json::parse(result.output);
}

TEST(Inspect, DescribesTheDefaultModel) {
  const auto model = default_model();
  if (!model) GTEST_SKIP() << "the default model is not there";
  const CommandResult result = run_tessera({"inspect", model->string()});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  // 134,515,008 parameters: 49152 x 576 embeddings (tied) and 30 blocks of 3,540,096, and the last norm of
  // 576.
  for (const char* text :
       {"architecture   llama", "134,515,008", "Q4_1 (mostly)", "8,192 tokens", "9 heads, 3 for keys",
        "49,152 tokens, BOS 1, EOS 2", "chat template  yes", "can be run     yes"}) {
    EXPECT_THAT(result.output, HasSubstr(text));
  }
}

TEST(Inspect, JsonIsCompleteForTheDefaultModel) {
  const auto model = default_model();
  if (!model) GTEST_SKIP() << "the default model is not there";
  const nlohmann::json report = inspect_json(model->string(), {"--tensors"});
  EXPECT_EQ(report["format"], "GGUF");
  EXPECT_EQ(report["can_be_run"], true);
  EXPECT_EQ(report["context_length"], 8192);
  EXPECT_EQ(report["config"]["num_hidden_layers"], 30);
  // keys and values of 30 layers x 3 heads x 64 in two bytes
  EXPECT_EQ(report["key_value_bytes_per_token"], 2 * 30 * 3 * 64 * 2);
  EXPECT_EQ(report["metadata"]["llama.block_count"], 30);
  EXPECT_EQ(report["metadata"]["tokenizer.ggml.tokens"]["length"], 49152);
  EXPECT_EQ(report["tokenizer"]["vocabulary_size"], 49152);
  EXPECT_THAT(report["chat_template"].get<std::string>(), HasSubstr("<|im_start|>"));
  std::uint64_t bytes = 0;
  std::size_t tensors = 0;
  for (const auto& type : report["types"]) {
    bytes += type["bytes"].get<std::uint64_t>();
    tensors += type["tensors"].get<std::size_t>();
  }
  EXPECT_EQ(report["tensors"].size(), tensors);
  EXPECT_LE(bytes, report["files"][0]["bytes"].get<std::uint64_t>());
  std::uint64_t listed = 0;
  for (const auto& tensor : report["tensors"]) listed += tensor["bytes"].get<std::uint64_t>();
  EXPECT_EQ(listed, bytes);
}

TEST(Inspect, DescribesAHuggingFaceFolder) {
  const auto shared = shared_dir();
  if (!shared) GTEST_SKIP() << "../shared is not there";
  const nlohmann::json report = inspect_json((*shared / "models" / "tinystories-656k").string());
  EXPECT_EQ(report["architecture"], "LlamaForCausalLM");
  EXPECT_EQ(report["format"], "safetensors");
  EXPECT_EQ(report["quantization"], "F32");
  // 2 layers x 4 heads x 16, in float32 as the weights are
  EXPECT_EQ(report["key_value_type"], "F32");
  EXPECT_EQ(report["key_value_bytes_per_token"], 2 * 2 * 4 * 16 * 4);
  EXPECT_EQ(report["chat_template"], nullptr);
  EXPECT_EQ(report["declared_dtype"], "");
}

TEST(Inspect, DescribesAVocabularyWithoutWeights) {
  const auto shared = shared_dir();
  if (!shared) GTEST_SKIP() << "../shared is not there";
  const CommandResult result =
      run_tessera({"inspect", (*shared / "tokenizers" / "ggml-vocab-qwen2.gguf").string()});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, AllOf(HasSubstr("can be run     no: "), HasSubstr("vocabulary only")));
  EXPECT_THAT(result.output, HasSubstr("151,936 tokens"));
}

class InspectMade : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

 private:
  TemporaryFolder folder_;
};

TEST_F(InspectMade, AnUnknownArchitectureIsDescribedAsFarAsItGoes) {
  formats::GgufWriter writer("marvin9000");
  writer.set("marvin9000.context_length", std::int64_t{77});
  writer.add_tensor("brain.weight", Tensor::zeros({3, 64}, DType::q8_0));
  writer.write(path("m.gguf"));
  const CommandResult result = run_tessera({"inspect", path("m.gguf"), "--tensors"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output,
              AllOf(HasSubstr("architecture   marvin9000"), HasSubstr("77 tokens"), HasSubstr("192 (192)")));
  EXPECT_THAT(result.output, MatchesRegex("(.|\n)*can be run     no: [^\n]*marvin9000(.|\n)*"));
  EXPECT_THAT(result.output, MatchesRegex("(.|\n)*brain.weight  Q8_0 +\\[3, 64\\] +[0-9]+ +204\n"));
  EXPECT_EQ(inspect_json(path("m.gguf"))["config"], nullptr);
}

TEST_F(InspectMade, SaysWhenTheConfigurationPromisesAnotherDtype) {
  formats::SafetensorsWriter writer;
  writer.add_tensor("w", Tensor::zeros({4}, DType::bf16));
  writer.write(path("model.safetensors"));
  write_file_atomically(path("config.json"), R"({"architectures": ["Nobody"], "torch_dtype": "float16"})");
  EXPECT_EQ(inspect_json(path("model.safetensors"))["declared_dtype"], "float16");
}

TEST_F(InspectMade, ADamagedModelEndsWithExitCode1AndOneLine) {
  formats::GgufWriter writer("llama");
  writer.add_tensor("t", Tensor::zeros({256}));
  std::string bytes = writer.bytes();
  write_file_atomically(path("cut.gguf"), bytes.substr(0, bytes.size() - 1));
  const CommandResult result = run_tessera({"inspect", path("cut.gguf")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(
      result.errors,
      MatchesRegex("error: [^\n]*cut.gguf: tensor 't' at byte [0-9]+: expected [^\n]*found [^\n]*\n"));
}

TEST_F(InspectMade, WrongUseEndsWithExitCode2AndAHint) {
  EXPECT_EQ(run_tessera({"inspect"}).exit_code, 2);
  const CommandResult flag = run_tessera({"inspect", "x.gguf", "--tensor"});
  EXPECT_EQ(flag.exit_code, 2);
  EXPECT_THAT(flag.errors, HasSubstr("hint:"));
  const CommandResult missing = run_tessera({"inspect", path("none.gguf")});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.errors, HasSubstr("none.gguf"));
}

TEST(Inspect, HelpNamesEveryFlag) {
  const CommandResult result = run_tessera({"inspect", "--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.output, AllOf(HasSubstr("--tensors"), HasSubstr("--json"), HasSubstr("MODEL")));
}

}  // namespace
}  // namespace tessera::testing
