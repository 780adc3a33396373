// tessera quantize as people run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera::testing {
namespace {

using ::testing::HasSubstr;

class QuantizeCommand : public ::testing::Test {
 protected:
  CommandResult quantize(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "quantize");
    return run_tessera(arguments);
  }
  std::string source() const { return (golden_dir() / "models" / "llama.gguf").string(); }
  std::string target() const { return (folder_.path() / "t.gguf").string(); }

  TemporaryFolder folder_;
};

TEST_F(QuantizeCommand, WritesAFileAndSaysWhatBecameWhat) {
  const CommandResult result = quantize({source(), target(), "q4_k"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.output, target() + "\n");
  EXPECT_THAT(result.errors, HasSubstr("Q5_0 instead of Q4_K: rows of 32 are no multiple of 256"));
  EXPECT_THAT(result.errors, HasSubstr("F32: norms and biases"));
  EXPECT_TRUE(std::filesystem::exists(target()));
}

TEST_F(QuantizeCommand, AFileThatIsThereStaysUnlessForced) {
  std::ofstream(target()) << "mine";
  const CommandResult refused = quantize({source(), target(), "Q8_0"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.errors, HasSubstr("--force"));
  EXPECT_EQ(std::filesystem::file_size(target()), 4U);
  EXPECT_EQ(quantize({source(), target(), "Q8_0", "--force"}).exit_code, 0);
  EXPECT_GT(std::filesystem::file_size(target()), 4U);
}

TEST_F(QuantizeCommand, ADryRunWritesNothing) {
  EXPECT_EQ(quantize({source(), target(), "Q8_0", "--dry-run"}).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(target()));
}

TEST_F(QuantizeCommand, AFolderBecomesAFileThatIsComparedWithIt) {
  const auto shared = shared_dir();
  if (!shared) GTEST_SKIP() << "no shared folder beside the checkout";
  const std::string folder = (*shared / "models" / "tinystories-656k").string();
  const CommandResult result = quantize({folder, target(), "Q8_0", "--report"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr("KL divergence   mean 0.0"));
  EXPECT_THAT(result.output, HasSubstr("same top token"));
  const CommandResult ids =
      run_tessera({"tokenize", "-m", target(), "--ids"}, {.input = "Once upon a time", .environment = {}});
  const CommandResult expected =
      run_tessera({"tokenize", "-m", folder, "--ids"}, {.input = "Once upon a time", .environment = {}});
  EXPECT_EQ(ids.output, expected.output);
  EXPECT_NE(ids.output, "");
}

// Rounded while loading or before: the same weights, so the same text.
TEST_F(QuantizeCommand, QuantisingAtLoadGivesTheTextOfTheFile) {
  const auto shared = shared_dir();
  if (!shared) GTEST_SKIP() << "no shared folder beside the checkout";
  const std::string folder = (*shared / "models" / "tinystories-656k").string();
  ASSERT_EQ(quantize({folder, target(), "Q4_0"}).exit_code, 0);
  const std::vector<std::string> prompt = {"-p", "Once upon a time", "--temp", "0", "-n", "24"};
  std::vector<std::string> from_file = {"generate", "-m", target()};
  from_file.insert(from_file.end(), prompt.begin(), prompt.end());
  std::vector<std::string> at_load = {"generate", "-m", folder, "--quantize", "Q4_0"};
  at_load.insert(at_load.end(), prompt.begin(), prompt.end());
  const CommandResult expected = run_tessera(from_file);
  const CommandResult found = run_tessera(at_load);
  EXPECT_EQ(found.exit_code, 0) << found.errors;
  EXPECT_EQ(found.output, expected.output);
  EXPECT_NE(found.output, "");
  at_load[4] = "Q9";
  EXPECT_EQ(run_tessera(at_load).exit_code, 2);
}

TEST_F(QuantizeCommand, BadUsageAndBadFilesAreTold) {
  EXPECT_EQ(quantize({source(), target(), "Q9"}).exit_code, 2);
  EXPECT_EQ(quantize({source(), target(), "Q8_0", "-f", source()}).exit_code, 2);
  EXPECT_EQ(quantize({source(), target(), "Q8_0", "--report", "-f", "/no/such/text"}).exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(target()));
  EXPECT_EQ(quantize({source(), target()}).exit_code, 2);
  EXPECT_EQ(quantize({source(), target(), "Q8_0", "--treads", "2"}).exit_code, 2);
  EXPECT_EQ(quantize({source(), (folder_.path() / "no" / "such.gguf").string(), "Q8_0"}).exit_code, 1);
  const std::string broken = (folder_.path() / "broken.gguf").string();
  std::filesystem::copy_file(source(), broken);
  std::filesystem::resize_file(broken, std::filesystem::file_size(broken) / 2);
  const CommandResult result = quantize({broken, target(), "Q8_0"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, HasSubstr(broken));
  EXPECT_FALSE(std::filesystem::exists(target()));
}

}  // namespace
}  // namespace tessera::testing
