#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <CLI/CLI.hpp>

#include <array>
#include <cstdlib>
#include <set>

#include "cli/command.h"
#include "support/test_paths.h"

namespace tessera::cli {
namespace {

using ::testing::HasSubstr;

struct Outcome {
  int code = 0;
  std::string output;
  std::string errors;
};

Outcome run_program(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "tessera");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.code = run(static_cast<int>(argv.size()), argv.data());
  std::fflush(stdout);
  outcome.output = ::testing::internal::GetCapturedStdout();
  outcome.errors = ::testing::internal::GetCapturedStderr();
  return outcome;
}

class CommandsTest : public ::testing::Test {
 protected:
  CommandsTest() { ::setenv("XDG_CONFIG_HOME", folder_.path().c_str(), 1); }
  testing::TemporaryFolder folder_;
};

TEST_F(CommandsTest, NamesAreUniqueAndSummariesOneLine) {
  std::set<std::string> names;
  for (const Command& command : commands()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    const std::string summary = command.summary;
    EXPECT_FALSE(summary.empty()) << command.name;
    EXPECT_EQ(summary.find('\n'), std::string::npos) << command.name;
    EXPECT_LE(summary.size(), 100U) << command.name;
  }
}

TEST_F(CommandsTest, HelpOfEachIsCompleteAndExitsWell) {
  for (const Command& command : commands()) {
    CLI::App app;
    command.define(app);
    const Outcome outcome = run_program({command.name, "--help"});
    EXPECT_EQ(outcome.code, 0) << command.name;
    EXPECT_THAT(outcome.output, HasSubstr(command.summary)) << command.name;
    for (const CLI::Option* option : app.get_options()) {
      EXPECT_FALSE(option->get_description().empty()) << command.name << " " << option->get_name();
      EXPECT_THAT(outcome.output, HasSubstr(option->get_name())) << command.name;
      const bool has_long_name = !option->get_lnames().empty() && option->get_lnames().front() != "help";
      EXPECT_TRUE(!has_long_name || option->get_envname().rfind("TESSERA_", 0) == 0)
          << command.name << " " << option->get_name() << " has no environment variable";
    }
  }
}

TEST_F(CommandsTest, UnknownFlagsExitWithTwoAndAHint) {
  for (const Command& command : commands()) {
    const Outcome outcome = run_program({command.name, "--no-such-flag-at-all"});
    EXPECT_EQ(outcome.code, 2) << command.name;
    EXPECT_THAT(outcome.errors, HasSubstr("--no-such-flag-at-all")) << command.name;
    EXPECT_THAT(outcome.errors, HasSubstr("hint: ")) << command.name;
    EXPECT_EQ(outcome.output, "") << command.name;
  }
}

TEST_F(CommandsTest, ANearFlagIsSuggested) {
  const Outcome outcome = run_program({"help", "--verbsoe"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.errors, HasSubstr("did you mean '--verbose'?"));
}

TEST_F(CommandsTest, ANearCommandIsSuggested) {
  const Outcome wrong = run_program({"hlep"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.errors, HasSubstr("did you mean 'help'?"));
  const Outcome none = run_program({});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.errors, HasSubstr("expected a command"));
}

TEST_F(CommandsTest, TopLevelHelpListsEveryCommandWithItsSummary) {
  for (const std::vector<std::string>& way : {std::vector<std::string>{"--help"}, {"help"}, {"-h"}}) {
    const Outcome outcome = run_program(way);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_THAT(outcome.output, HasSubstr("Examples:"));
    for (const Command& command : commands()) {
      EXPECT_THAT(outcome.output, HasSubstr(command.name));
      EXPECT_THAT(outcome.output, HasSubstr(command.summary));
    }
  }
}

TEST_F(CommandsTest, HelpForACommandEqualsItsFlag) {
  for (const Command& command : commands()) {
    const Outcome outcome = run_program({"help", command.name});
    EXPECT_EQ(outcome.code, 0) << command.name;
    EXPECT_EQ(outcome.output, run_program({command.name, "--help"}).output) << command.name;
  }
  EXPECT_EQ(run_program({"help", "nonsense"}).code, 2);
}

TEST_F(CommandsTest, Version) {
  const Outcome outcome = run_program({"--version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.output, std::string("tessera ") + TESSERA_VERSION + "\n");
}

}  // namespace
}  // namespace tessera::cli
