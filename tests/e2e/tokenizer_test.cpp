// `tessera tokenizer train`: a corpus to a tokenizer that the other commands take.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera::testing {
namespace {

using ::testing::HasSubstr;

class TokenizerCommand : public ::testing::Test {
 protected:
  CommandResult train(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"tokenizer", "train", "-o", out()});
    return run_tessera(arguments);
  }
  std::string out() const { return folder_.path() / "trained"; }
  std::string corpus() const { return golden_dir() / "tokenizer_training/corpus.txt"; }
  TemporaryFolder folder_;
};

TEST_F(TokenizerCommand, WhatItWritesTurnsTextIntoIdsAndBack) {
  for (const std::vector<std::string>& type :
       {std::vector<std::string>{"--vocab-size", "400", "--special-token", "<|endoftext|>"},
        {"--type", "char"}}) {
    std::vector<std::string> arguments = type;
    arguments.push_back(corpus());
    const CommandResult result = train(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr("tokenizer.json: "));
    const std::string text = "tarimo nel, saku\n\nthe 水";
    const CommandResult ids = run_tessera({"tokenize", "-m", out()}, {.input = text, .environment = {}});
    ASSERT_EQ(ids.exit_code, 0) << ids.errors;
    const CommandResult back =
        run_tessera({"tokenize", "-m", out(), "--decode"}, {.input = ids.output, .environment = {}});
    EXPECT_EQ(back.output, text);
  }
}

TEST_F(TokenizerCommand, SaysWhenTheTextHasNoMorePairs) {
  const CommandResult result = train({"--vocab-size", "100000", corpus()});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.errors, HasSubstr("no more pairs come 2 times or more"));
}

TEST_F(TokenizerCommand, BadUsageIsExitCodeTwoAndNothingIsWritten) {
  const auto expect_line = [&](const CommandResult& result, const char* line) {
    EXPECT_EQ(result.exit_code, 2) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr(line));
    EXPECT_FALSE(std::filesystem::exists(out()));
  };
  expect_line(train({corpus()}), "--vocab-size");
  expect_line(train({"--vocab-size", "300"}), "expected INPUT");
  expect_line(train({"--vocab-size", "100", corpus()}), "expected 256");
  expect_line(train({"--type", "wordpiece", corpus()}), "found 'wordpiece'");
  expect_line(train({"--vocab-size", "300", "--ties", "none", corpus()}), "found 'none'");
  expect_line(train({"--vocab-size", "300", "--eos-token", "</s>", corpus()}), "eos_token");
  expect_line(run_tessera({"tokenizer"}), "");
}

}  // namespace
}  // namespace tessera::testing
