// `tessera pull` as a user runs it, against a local server that behaves like the hub.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "base/mapped_file.h"
#include "support/fake_hub.h"
#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class PullCommandTest : public ::testing::Test {
 protected:
  PullCommandTest() {
    std::mt19937 random(5);
    std::string content(200'000, ' ');
    for (char& c : content) c = static_cast<char>(random());
    hub_.files["tiny.Q8_0.gguf"] = {content};
    hub_.files["tiny.Q2_K.gguf"] = {"small"};
  }

  testing::CommandResult run(const std::vector<std::string>& arguments,
                             std::vector<std::pair<std::string, std::string>> environment = {}) {
    environment.insert(environment.begin(), {{"XDG_CACHE_HOME", folder_.path().string()},
                                             {"XDG_CONFIG_HOME", folder_.path().string()},
                                             {"HF_HOME", (folder_.path() / "hf").string()},
                                             {"HF_ENDPOINT", hub_.url()},
                                             {"HF_HUB_OFFLINE", ""},
                                             {"HF_TOKEN", ""}});
    return testing::run_tessera(arguments, {.input = {}, .environment = environment, .timeout_seconds = 60});
  }

  fs::path file() const { return folder_.path() / "tessera" / "models" / "tiny.Q8_0.gguf"; }

  testing::TemporaryFolder folder_;
  testing::FakeHub hub_;
};

TEST_F(PullCommandTest, GetsListsAndRemoves) {
  const auto pulled = run({"pull", "hf:user/tiny-GGUF"});
  EXPECT_EQ(pulled.exit_code, 0) << pulled.errors;
  EXPECT_EQ(pulled.output, file().string() + "\n");
  EXPECT_THAT(pulled.errors, HasSubstr("needs 200 kB, you have "));
  EXPECT_THAT(pulled.errors, HasSubstr("100%"));
  EXPECT_THAT(pulled.errors, Not(HasSubstr("\x1b")));  // no terminal: plain lines
  EXPECT_EQ(read_file(file().string()), hub_.files["tiny.Q8_0.gguf"].content);

  const auto listed = run({"models"});
  EXPECT_EQ(listed.exit_code, 0);
  EXPECT_THAT(listed.output, HasSubstr("tiny.Q8_0 "));
  EXPECT_THAT(listed.output, HasSubstr("hf:user/tiny-GGUF@0123456789ab"));
  const auto json = run({"models", "--json"});
  EXPECT_THAT(json.output, HasSubstr("\"quantization\": \"Q8_0\""));
  EXPECT_THAT(json.output, HasSubstr("\"bytes\": 200000"));

  const auto unasked = run({"models", "rm", "tiny.Q8_0"});
  EXPECT_EQ(unasked.exit_code, 2);
  EXPECT_TRUE(fs::exists(file()));
  EXPECT_EQ(run({"models", "rm", "tiny", "--yes"}).exit_code, 1);  // the whole name is wanted
  EXPECT_EQ(run({"models", "rm", "tiny.Q8_0", "--yes"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(file()));
  EXPECT_EQ(run({"models", "--json"}).output, "[]\n");
}

TEST_F(PullCommandTest, TheShortFlagAndTheQuantisation) {
  const auto pulled = run({"pull", "-hf", "user/tiny-GGUF:q2_k", "--name", "mine"});
  EXPECT_EQ(pulled.exit_code, 0) << pulled.errors;
  EXPECT_EQ(read_file((file().parent_path() / "mine.gguf").string()), "small");
}

TEST_F(PullCommandTest, ADryRunFetchesNothing) {
  const auto planned = run({"pull", "--dry-run", "hf:user/tiny-GGUF"});
  EXPECT_EQ(planned.exit_code, 0);
  EXPECT_EQ(planned.output, "tiny.Q8_0.gguf\t200000\n");
  EXPECT_TRUE(hub_.store_requests().empty());
}

TEST_F(PullCommandTest, FailuresAreOneLineAndExitWithOne) {
  const auto missing = run({"pull", "hf:user/nothing"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.errors, HasSubstr("error: hf:user/nothing: the hub answers 404"));
  EXPECT_EQ(std::count(missing.errors.begin(), missing.errors.end(), '\n'), 1);
  const auto offline = run({"pull", "hf:user/tiny-GGUF"}, {{"HF_HUB_OFFLINE", "1"}});
  EXPECT_EQ(offline.exit_code, 1);
  EXPECT_THAT(offline.errors, HasSubstr("HF_HUB_OFFLINE"));
  const auto proxied = run({"pull", "hf:user/tiny-GGUF"},
                           {{"http_proxy", "http://127.0.0.1:1"}, {"no_proxy", ""}, {"NO_PROXY", ""}});
  EXPECT_EQ(proxied.exit_code, 1);
  EXPECT_THAT(proxied.errors, HasSubstr("cannot connect"));
  EXPECT_TRUE(hub_.store_requests().empty());
}

TEST_F(PullCommandTest, BadUsageExitsWithTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"pull"},
                                             {"pull", "nonsense"},
                                             {"pull", "hf:a/b", "-hf", "c/d"},
                                             {"pull", "hf:user/tiny-GGUF:Q3_K_M"},
                                             {"pull", "hf:user/tiny-GGUF", "--name", "../x"}}) {
    const auto result = run(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.errors;
    EXPECT_THAT(result.errors, HasSubstr("error: "));
  }
  EXPECT_EQ(run({"pull", "hf:a/b"}, {{"HF_ENDPOINT", "ftp://x"}}).exit_code, 2);
}

TEST_F(PullCommandTest, TheTokenComesFromTheEnvironmentOrTheLoginFile) {
  hub_.switches.token = "hf_secret";
  EXPECT_THAT(run({"pull", "hf:user/tiny-GGUF"}).errors, HasSubstr("set HF_TOKEN"));
  EXPECT_EQ(run({"pull", "hf:user/tiny-GGUF"}, {{"HF_TOKEN", "hf_secret"}}).exit_code, 0);
  fs::remove(file());
  fs::create_directories(folder_.path() / "hf");
  std::ofstream(folder_.path() / "hf" / "token") << "hf_secret\n";
  EXPECT_EQ(run({"pull", "hf:user/tiny-GGUF"}).exit_code, 0);
}

TEST_F(PullCommandTest, AWrongChecksumFailsAndLeavesNoFile) {
  hub_.files["tiny.Q8_0.gguf"].wrong_checksum = std::string(64, '0');
  const auto result = run({"pull", "hf:user/tiny-GGUF"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.errors, HasSubstr("expected sha256:0000"));
  EXPECT_FALSE(fs::exists(file()));
}

}  // namespace
}  // namespace tessera
