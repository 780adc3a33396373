// `tessera tokenize`: every flag, both ways, exit codes.
#include <gtest/gtest.h>

#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera::testing {
namespace {

std::string tokenizer_path(const char* name) {
  return (golden_dir() / "tokenizers" / name / "tokenizer.json").string();
}

CommandResult tokenize(std::vector<std::string> arguments, const std::string& input) {
  arguments.insert(arguments.begin(), "tokenize");
  CommandOptions options;
  options.input = input;
  return run_tessera(arguments, options);
}

TEST(Tokenize, GivesIdsAndTakesThemBack) {
  const std::string text = "Hello, wörld!\n 你好 \x7f\n\n";
  for (const char* name : {"gpt2", "llama3", "llama2", "qwen2"}) {
    const CommandResult ids = tokenize({"-m", tokenizer_path(name)}, text);
    ASSERT_EQ(ids.exit_code, 0) << ids.errors;
    EXPECT_EQ(ids.output.find_first_not_of("0123456789 \n"), std::string::npos) << ids.output;
    EXPECT_EQ(ids.output.find('\n'), ids.output.size() - 1) << "one line";
    const CommandResult back = tokenize({"-m", tokenizer_path(name), "--decode"}, ids.output);
    EXPECT_EQ(back.exit_code, 0) << back.errors;
    if (std::string(name) != "llama2") {
      EXPECT_EQ(back.output, text) << name;
    }
  }
}

TEST(Tokenize, LeavesOutAddedTokensOnRequest) {
  const CommandResult with = tokenize({"-m", tokenizer_path("llama3"), "--ids"}, "a");
  const CommandResult without = tokenize({"-m", tokenizer_path("llama3"), "--no-bos"}, "a");
  ASSERT_EQ(without.exit_code, 0) << without.errors;
  EXPECT_EQ(with.output, "1 " + without.output.substr(0, without.output.size() - 1) + " 2\n");
}

TEST(Tokenize, MakesControlTokensOnlyWhenAsked) {
  const std::string text = "<|im_start|>";
  EXPECT_EQ(tokenize({"-m", tokenizer_path("gpt2"), "--parse-special"}, text).output, "3\n");
  const CommandResult plain = tokenize({"-m", tokenizer_path("gpt2")}, text);
  EXPECT_EQ(plain.exit_code, 0);
  EXPECT_NE(plain.output, "3\n");
  EXPECT_EQ(tokenize({"-m", tokenizer_path("gpt2"), "--decode"}, plain.output).output, text);
}

TEST(Tokenize, ShowsPieces) {
  const CommandResult result = tokenize({"-m", tokenizer_path("gpt2"), "--pieces"}, "\"\xc3\n");
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("\t\"\\\"\""), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("\t\"\\xef\""), std::string::npos)
      << "the first byte of U+FFFD: " << result.output;
  EXPECT_NE(result.output.find("\t\"\\x0a\""), std::string::npos) << result.output;
}

TEST(Tokenize, RefusesBadUsageAndBadInput) {
  EXPECT_EQ(tokenize({"-m", tokenizer_path("gpt2"), "--ids", "--pieces"}, "").exit_code, 2);
  EXPECT_EQ(tokenize({"-m", tokenizer_path("gpt2"), "--decode", "--parse-special"}, "").exit_code, 2);
  EXPECT_EQ(tokenize({"-m", tokenizer_path("gpt2"), "--no-such-flag"}, "").exit_code, 2);
  const CommandResult word = tokenize({"-m", tokenizer_path("gpt2"), "--decode"}, "12 x34");
  EXPECT_EQ(word.exit_code, 1);
  EXPECT_NE(word.errors.find("found 'x34' at byte 3"), std::string::npos) << word.errors;
  const CommandResult unknown = tokenize({"-m", tokenizer_path("gpt2"), "--decode"}, "99999999");
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_NE(unknown.errors.find("99999999"), std::string::npos) << unknown.errors;
  EXPECT_EQ(tokenize({"-m", tokenizer_path("gpt2"), "--decode"}, "99999999999999").exit_code, 1);
  EXPECT_EQ(tokenize({"-m", "/no/such/model.gguf"}, "").exit_code, 1);
}

TEST(Tokenize, TakesAVocabularyOnlyGguf) {
  const auto shared = shared_dir();
  if (!shared) GTEST_SKIP() << "../shared is absent";
  const std::string path = (*shared / "tokenizers" / "ggml-vocab-llama-spm.gguf").string();
  const CommandResult ids = tokenize({"-m", path}, "Hello world");
  EXPECT_EQ(ids.output, "1 15043 3186\n") << ids.errors;
  EXPECT_EQ(tokenize({"-m", path, "--decode"}, ids.output).output, "Hello world");
}

TEST(Tokenize, TakesAHuggingFaceFolder) {
  const auto shared = shared_dir();
  if (!shared) GTEST_SKIP() << "../shared is absent";
  const std::string folder = (*shared / "models" / "tinystories-656k").string();
  const CommandResult result = tokenize({"-m", folder}, "Once upon a time");
  EXPECT_EQ(result.output, tokenize({"-m", folder + "/tokenizer.json"}, "Once upon a time").output);
  EXPECT_EQ(result.output.substr(0, 2), "1 ") << "begins with <|start_story|>: " << result.errors;
}

}  // namespace
}  // namespace tessera::testing
