// How MODEL arguments, flags, variables and the configuration file reach the commands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ModelsCommandTest : public ::testing::Test {
 protected:
  testing::CommandResult run(const std::vector<std::string>& arguments,
                             std::vector<std::pair<std::string, std::string>> environment = {}) {
    environment.insert(environment.begin(), {{"XDG_CACHE_HOME", folder_.path().string()},
                                             {"XDG_CONFIG_HOME", folder_.path().string()},
                                             {"HF_HOME", (folder_.path() / "hf").string()}});
    return testing::run_tessera(arguments, {.input = {}, .environment = environment, .timeout_seconds = 60});
  }

  testing::TemporaryFolder folder_;
};

TEST_F(ModelsCommandTest, AnEmptyMachineSaysHowToGetOne) {
  const auto result = run({"models"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.output, "");
  EXPECT_THAT(result.errors, HasSubstr("tessera pull"));
}

TEST_F(ModelsCommandTest, FlagOverVariableOverFile) {
  fs::create_directories(folder_.path() / "tessera");
  std::ofstream(folder_.path() / "tessera" / "config.toml") << "[models]\njson = true\n";
  EXPECT_EQ(run({"models"}).output, "[]\n");
  EXPECT_EQ(run({"models"}, {{"TESSERA_JSON", "false"}}).output, "");
  EXPECT_EQ(run({"models", "--json"}, {{"TESSERA_JSON", "false"}}).output, "[]\n");
  std::ofstream(folder_.path() / "tessera" / "config.toml") << "[models]\njsno = true\n";
  const auto wrong = run({"models"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.errors, HasSubstr("config.toml:2"));
  EXPECT_THAT(wrong.errors, HasSubstr("did you mean 'json'?"));
}

TEST_F(ModelsCommandTest, TheHuggingFaceCacheIsListedButNotRemovedFrom) {
  const fs::path snapshot = folder_.path() / "hf" / "hub" / "models--org--model" / "snapshots" / "1";
  fs::create_directories(snapshot);
  std::ofstream(snapshot / "config.json") << "{}";
  EXPECT_THAT(run({"models"}).output, HasSubstr("hf:org/model"));
  const auto removal = run({"models", "rm", "hf:org/model", "--yes"});
  EXPECT_EQ(removal.exit_code, 1);
  EXPECT_TRUE(fs::exists(snapshot / "config.json"));
}

}  // namespace
}  // namespace tessera
