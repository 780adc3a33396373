#include "formats/open_model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "formats/gguf_writer.h"
#include "support/error_of.h"
#include "support/test_paths.h"

namespace tessera::formats {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

TEST(OpenModelFiles, OpensTheDefaultModel) {
  const auto path = testing::default_model();
  if (!path) GTEST_SKIP() << "the default model is not there";
  const ModelFiles files = open_model_files(path->string());
  ASSERT_NE(files.weights, nullptr);
  EXPECT_EQ(files.weights->architecture(), "llama");
  EXPECT_EQ(files.weights->naming(), NamingScheme::gguf);
  const Metadata& metadata = files.weights->metadata();
  EXPECT_EQ(metadata.require_int("llama.block_count"), 30);
  ASSERT_NE(metadata.find_strings("tokenizer.ggml.tokens"), nullptr);
  EXPECT_EQ(metadata.find_strings("tokenizer.ggml.tokens")->size(), 49152U);
  EXPECT_EQ(files.weights->load("token_embd.weight").shape(), (Shape{49152, 576}));
  EXPECT_TRUE(files.chat_template.has_value());
  EXPECT_TRUE(files.tokenizer_json.empty());
}

TEST(OpenModelFiles, OpensAHuggingFaceFolder) {
  const auto shared = testing::shared_dir();
  if (!shared) GTEST_SKIP() << "../shared is not there";
  const ModelFiles files = open_model_files((*shared / "models" / "tinystories-656k").string());
  ASSERT_NE(files.weights, nullptr);
  EXPECT_EQ(files.weights->architecture(), "LlamaForCausalLM");
  EXPECT_EQ(files.weights->metadata().require_int("hidden_size"), 128);
  EXPECT_EQ(files.weights->metadata().require_float("rope_theta"), 10000.0);
  EXPECT_EQ(files.weights->load("model.embed_tokens.weight").shape(), (Shape{2048, 128}));
  EXPECT_FALSE(files.tokenizer_json.empty());
  EXPECT_FALSE(files.tokenizer_config.empty());
}

TEST(OpenModelFiles, OpensVocabulariesWithoutTensors) {
  const auto shared = testing::shared_dir();
  if (!shared) GTEST_SKIP() << "../shared is not there";
  for (const char* name : {"gpt-2", "llama-bpe", "llama-spm", "phi-3", "qwen2"}) {
    const auto path = *shared / "tokenizers" / (std::string("ggml-vocab-") + name + ".gguf");
    const ModelFiles files = open_model_files(path.string());
    ASSERT_NE(files.weights, nullptr) << name;
    EXPECT_TRUE(files.weights->tensors().empty()) << name;
    EXPECT_NE(files.weights->metadata().find_strings("tokenizer.ggml.tokens"), nullptr) << name;
    EXPECT_THROW(require_weights(files), Error) << name;
  }
}

// Part `index` (from 0) of a model split into two files, with one tensor named after it.
void write_part(const std::filesystem::path& path, std::int64_t index, std::int64_t stated_count = 2) {
  GgufWriter writer("llama");
  writer.set("split.no", index);
  writer.set("split.count", stated_count);
  writer.set("only.in.first", index == 0);
  writer.add_tensor(index == 0 ? "a" : "b",
                    Tensor::from_values({1}, std::vector<float>{static_cast<float>(index)}));
  writer.write(path.string());
}

TEST(OpenModelFiles, OpensAllPartsOfASplitModel) {
  const testing::TemporaryFolder folder;
  const auto first = folder.path() / "m-00001-of-00002.gguf";
  const auto second = folder.path() / "m-00002-of-00002.gguf";
  write_part(first, 0);
  EXPECT_THAT(error_of([&] { open_model_files(first.string()); }),
              HasSubstr("m-00002-of-00002.gguf: cannot open"));
  write_part(second, 1);
  for (const auto& path : {first, second, folder.path()}) {
    const ModelFiles files = open_model_files(path.string());
    EXPECT_EQ(files.weights->load("a").as<float>()[0], 0.0F);
    EXPECT_EQ(files.weights->load("b").as<float>()[0], 1.0F);
    EXPECT_EQ(files.weights->metadata().find_bool("only.in.first"), true);
    EXPECT_EQ(files.weights->find("b")->file, second.string());
  }
  write_part(second, 0);
  EXPECT_THAT(error_of([&] { open_model_files(first.string()); }), HasSubstr("'split.no' at byte"));
  write_part(folder.path() / "renamed.gguf", 0);
  EXPECT_THAT(error_of([&] { open_model_files((folder.path() / "renamed.gguf").string()); }),
              HasSubstr("expected a model of 1 file, found part 1 of 2"));
}

}  // namespace
}  // namespace tessera::formats
