#include "formats/open_model_files.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/test_paths.h"

namespace tessera::formats {
namespace {

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

}  // namespace
}  // namespace tessera::formats
