#include <gtest/gtest.h>

#include "support/run_command.h"

namespace tessera::testing {
namespace {

TEST(RunCommand, PassesInputThroughAndSeparatesTheStreams) {
  const std::string text(300'000, 'x');  // more than a pipe holds
  const CommandResult result =
      run_command({"sh", "-c", "cat; echo oops >&2; exit 3"}, {.input = text, .environment = {}});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, text);
  EXPECT_EQ(result.errors, "oops\n");
}

TEST(RunCommand, EndsAProgramThatHangs) {
  const CommandResult result =
      run_command({"sleep", "60"}, {.input = {}, .environment = {}, .timeout_seconds = 1});
  EXPECT_EQ(result.exit_code, 137);
}

TEST(CommandLine, AnUnknownFlagEndsWithExitCode2AndAHint) {
  const CommandResult result = run_tessera({"--no-such-flag"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.errors.find("hint:"), std::string::npos) << result.errors;
  EXPECT_EQ(result.output, "");
}

TEST(CommandLine, VersionGoesToStandardOutput) {
  const CommandResult result = run_tessera({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.output.rfind("tessera ", 0), 0U) << result.output;
}

}  // namespace
}  // namespace tessera::testing
