#include "cli/config_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "cli/options.h"
#include "support/test_paths.h"

namespace tessera::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ConfigFileTest, ReadsStringsNumbersFlagsArraysAndSections) {
  const auto entries = parse_config(
      "# comment\n"
      "temp = 0.5  # trailing\n"
      "ctx_size = 4_096\n"
      "\n"
      "[chat]\r\n"
      "system = \"be \\\"brief\\\", # really\\n\"\n"
      "model = 'C:\\x # y'\n"
      "verbose = true\n"
      "stop = [\"a, b\", \"c\"]\n",
      "config.toml");
  ASSERT_EQ(entries.size(), 6U);
  EXPECT_EQ(entries[0].key, "temp");
  EXPECT_EQ(entries[0].section, "");
  EXPECT_THAT(entries[0].values, ElementsAre("0.5"));
  EXPECT_EQ(entries[1].key, "ctx-size");
  EXPECT_THAT(entries[1].values, ElementsAre("4096"));
  EXPECT_EQ(entries[2].section, "chat");
  EXPECT_THAT(entries[2].values, ElementsAre("be \"brief\", # really\n"));
  EXPECT_EQ(entries[2].line, 6);
  EXPECT_THAT(entries[3].values, ElementsAre("C:\\x # y"));
  EXPECT_THAT(entries[5].values, ElementsAre("a, b", "c"));
}

TEST(ConfigFileTest, BadLinesNameFileLineAndWhatWasFound) {
  const auto error_of = [](const std::string& text) {
    try {
      parse_config(text, "c.toml");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_usage);
      return std::string(error.what());
    }
    ADD_FAILURE() << "accepted: " << text;
    return std::string();
  };
  EXPECT_THAT(error_of("a = 1\nb = hello\n"), HasSubstr("c.toml:2: expected a value"));
  EXPECT_THAT(error_of("b = hello\n"), HasSubstr("found 'hello'"));
  EXPECT_THAT(error_of("just words\n"), HasSubstr("'='"));
  EXPECT_THAT(error_of("[chat\n"), HasSubstr("[COMMAND]"));
  EXPECT_THAT(error_of("a = \"open\n"), HasSubstr("closing"));
  EXPECT_THAT(error_of("a = 1 2\n"), HasSubstr("end of the line"));
  EXPECT_THAT(error_of("a = [1, 2\n"), HasSubstr("']'"));
  EXPECT_THAT(error_of("a = \"\\x\"\n"), HasSubstr("escapes"));
  EXPECT_THAT(error_of("a = \"\"\"x\"\"\"\n"), HasSubstr("one line"));
}

// A program with one command, as run() builds it.
class PrecedenceTest : public ::testing::Test {
 protected:
  PrecedenceTest() {
    ::unsetenv("TESSERA_TEMP");
    ::unsetenv("TESSERA_CONFIG");
    ::setenv("XDG_CONFIG_HOME", folder_.path().c_str(), 1);
    std::filesystem::create_directories(folder_.path() / "tessera");
  }
  ~PrecedenceTest() override { ::unsetenv("TESSERA_TEMP"); }

  void write(const std::string& text) { std::ofstream(folder_.path() / "tessera" / "config.toml") << text; }

  void parse(std::vector<std::string> arguments) {
    CLI::App app{"", "tessera"};
    CLI::App& chat = *app.add_subcommand("chat", "");
    CLI::App& pull = *app.add_subcommand("pull", "");
    add_option(chat, "--temp", temperature_, "");
    add_option(chat, "--stop", stop_, "");
    add_flag(chat, "--quiet", quiet_, "");
    add_option(pull, "--temp", other_, "");
    add_config_file(app);
    std::reverse(arguments.begin(), arguments.end());
    app.parse(arguments);
  }

  testing::TemporaryFolder folder_;
  double temperature_ = 1;
  double other_ = 1;
  std::vector<std::string> stop_;
  bool quiet_ = false;
};

TEST_F(PrecedenceTest, FileThenEnvironmentThenFlag) {
  write("temp = 0.25\nquiet = true\nstop = [\"x\", \"y z\"]\n");
  parse({"chat"});
  EXPECT_EQ(temperature_, 0.25);
  EXPECT_TRUE(quiet_);
  EXPECT_THAT(stop_, ElementsAre("x", "y z"));
  ::setenv("TESSERA_TEMP", "0.5", 1);
  parse({"chat"});
  EXPECT_EQ(temperature_, 0.5);
  parse({"chat", "--temp", "0.75"});
  EXPECT_EQ(temperature_, 0.75);
}

TEST_F(PrecedenceTest, ASectionIsForItsCommandAndWinsOverTheTop) {
  write("temp = 0.25\n[pull]\ntemp = 3\n");
  parse({"chat"});
  EXPECT_EQ(temperature_, 0.25);
  parse({"pull"});
  EXPECT_EQ(other_, 3);
}

TEST_F(PrecedenceTest, UnknownKeysAndSectionsAreErrorsWithTheNearest) {
  const auto error_of = [&](const std::string& text) {
    write(text);
    try {
      parse({"chat"});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(error_of("tmep = 1\n"), HasSubstr("did you mean 'temp'"));
  EXPECT_THAT(error_of("[caht]\ntemp = 1\n"), HasSubstr("did you mean 'chat'"));
  EXPECT_THAT(error_of("[pull]\nquiet = true\n"), HasSubstr("a flag of 'pull'"));
}

TEST_F(PrecedenceTest, ANamedFileMustBeThere) {
  EXPECT_THROW(parse({"--config", "/no/such/file.toml", "chat"}), CLI::FileError);
  ::setenv("TESSERA_CONFIG", "/no/such/file.toml", 1);
  EXPECT_THROW(parse({"chat"}), Error);
  ::unsetenv("TESSERA_CONFIG");
}

}  // namespace
}  // namespace tessera::cli
