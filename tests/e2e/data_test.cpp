// `tessera data`: files to token files, what it says, exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera::testing {
namespace {

using ::testing::HasSubstr;

class DataCommand : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.path() / name; }
  CommandResult data(std::vector<std::string> arguments) const {
    const std::string tokenizer = golden_dir() / "tokenizers/gpt2/tokenizer.json";
    arguments.insert(arguments.begin(), {"data", "-m", tokenizer, "-o", path("out")});
    return run_tessera(arguments);
  }
  TemporaryFolder folder_;
};

TEST_F(DataCommand, WritesTokenFilesAndTheTokenizer) {
  write_file_atomically(path("a.txt"), "a text of some words, of which the last are for validation");
  const CommandResult result = data({path("a.txt")});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr("train.tokens: "));
  EXPECT_THAT(result.output, HasSubstr("validation.tokens: "));
  EXPECT_EQ(result.errors, "");
  for (const char* name : {"out/train.tokens", "out/validation.tokens", "out/tokenizer.json"}) {
    EXPECT_TRUE(std::filesystem::exists(path(name))) << name;
  }
}

TEST_F(DataCommand, ConversationsUseChatMlWhereTheTokenizerHasIt) {
  write_file_atomically(path("a.jsonl"),
                        "{\"conversations\": [{\"from\": \"human\", \"value\": \"Hi\"}, "
                        "{\"from\": \"gpt\", \"value\": \"Hello\"}]}\n");
  const CommandResult result = data({"--validation", "0", path("a.jsonl")});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr("count in the loss"));
  EXPECT_FALSE(std::filesystem::exists(path("out/validation.tokens")));
}

TEST_F(DataCommand, SaysThatDocumentsFollowWithoutAMark) {
  write_file_atomically(path("a.txt"), "one|two|three");
  EXPECT_THAT(data({"--separator", "|", path("a.txt")}).errors, HasSubstr("--eos puts one"));
}

TEST_F(DataCommand, BadUsageIsExitCodeTwoAndOneLine) {
  const auto expect_line = [](const CommandResult& result, int code, const char* line) {
    EXPECT_EQ(result.exit_code, code) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr(line));
    EXPECT_EQ(std::count(result.errors.begin(), result.errors.end(), '\n'), 1) << result.errors;
  };
  write_file_atomically(path("a.txt"), "some text");
  expect_line(data({}), 2, "expected files or folders");
  expect_line(data({"--format", "xml", path("a.txt")}), 2, "found 'xml'");
  expect_line(data({"--split", "half", path("a.txt")}), 2, "found 'half'");
  expect_line(data({"--validation", "1.5", path("a.txt")}), 2, "found 1.5");
  expect_line(data({path("none.txt")}), 1, "none.txt");
  expect_line(data({"--split", "document", path("a.txt")}), 1, "at least 2 documents");
}

}  // namespace
}  // namespace tessera::testing
