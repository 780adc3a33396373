// tessera train as people run it, and a training process that is killed while it writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "formats/open_model_files.h"
#include "models/model.h"
#include "support/run_command.h"
#include "support/test_paths.h"
#include "train/checkpoint.h"
#include "train/token_file_writer.h"

namespace tessera::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class TrainCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(data());
    for (const char* name : {"train.tokens", "validation.tokens"}) {
      std::vector<TokenId> ids(300);
      for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<TokenId>(i * i % 13);
      train::TokenFileWriter writer((data() / name).string(), {.vocabulary_size = 13});
      writer.add_document(ids);
      writer.commit();
    }
  }
  fs::path data() const { return folder_.path() / "data"; }
  std::string out() const { return (folder_.path() / "run").string(); }
  // The settings of a tiny run, unless `more` has them.
  std::vector<std::string> command(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"train", "--data", data().string(), "--out", out()};
    const std::vector<std::pair<std::string, std::string>> tiny{{"--layers", "1"},       {"--heads", "2"},
                                                                {"--hidden-size", "16"}, {"--seq-len", "8"},
                                                                {"--batch-size", "2"},   {"--warmup", "2"}};
    for (const auto& [name, value] : tiny) {
      if (std::find(more.begin(), more.end(), name) == more.end())
        arguments.insert(arguments.end(), {name, value});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  TemporaryFolder folder_;
};

TEST_F(TrainCommand, PrintsALineAStepAndLeavesACheckpoint) {
  const CommandResult result = run_tessera(command({"--steps", "5", "--evaluate-every", "5"}));
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr("step 3/5  loss "));
  EXPECT_THAT(result.output, HasSubstr("  val "));
  EXPECT_THAT(result.output, HasSubstr("% of peak"));
  EXPECT_TRUE(fs::exists(fs::path(out()) / "latest" / "model.safetensors"));
  const CommandResult again = run_tessera(command({"--steps", "8"}));
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_THAT(again.errors, HasSubstr("--resume"));
  const CommandResult resumed = run_tessera(command({"--steps", "8", "--resume"}));
  EXPECT_EQ(resumed.exit_code, 0) << resumed.errors;
  EXPECT_THAT(resumed.output, HasSubstr("resumes at step 5"));
  EXPECT_THAT(resumed.output, HasSubstr("step 8/8"));
}

// A character model of either architecture, as a folder and as GGUF: the same tokenizer, the same greedy
// text.
TEST_F(TrainCommand, WhatItLeavesBecomesGguf) {
  const auto run = [&](const std::vector<std::string>& arguments) {
    const CommandResult result = run_tessera(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    return result;
  };
  const auto at = [&](const char* name) { return (folder_.path() / name).string(); };
  {
    std::ofstream text(at("text.txt"));
    for (int i = 0; i < 60; ++i) text << "the cat sat on the mat\nür " << i << "\n";
  }
  run({"tokenizer", "train", "--type", "char", "-o", at("tokenizer"), at("text.txt")});
  run({"data", "-m", at("tokenizer/tokenizer.json"), "-o", at("characters"), at("text.txt")});
  for (const std::string architecture : {"gpt2", "llama"}) {
    run({"train",
         "--data",
         at("characters"),
         "--out",
         at(architecture.c_str()),
         "--architecture",
         architecture,
         "--steps",
         "30",
         "--layers",
         "2",
         "--heads",
         "2",
         "--hidden-size",
         "32",
         "--seq-len",
         "24",
         "--batch-size",
         "4",
         "--warmup",
         "2",
         "--learning-rate",
         "0.01"});
    const std::string folder = at((architecture + "/latest").c_str());
    const std::string gguf = at((architecture + ".gguf").c_str());
    const CommandResult converted = run({"quantize", folder, gguf, "F32"});
    EXPECT_THAT(converted.errors, HasSubstr("the whole tokenizer.json is in the file"));
    const auto text_of = [&](const std::string& model) {
      return run({"generate", "-m", model, "-p", "the cat", "--temp", "0", "-n", "12", "--json"}).output;
    };
    const auto generated = [](const std::string& json) { return nlohmann::json::parse(json).at("text"); };
    EXPECT_EQ(generated(text_of(gguf)), generated(text_of(folder))) << architecture;
    EXPECT_NE(generated(text_of(gguf)), "");
    run({"quantize", folder, at((architecture + "-q8.gguf").c_str()), "Q8_0"});
    text_of(at((architecture + "-q8.gguf").c_str()));
  }
}

TEST_F(TrainCommand, FlagsWinOverTheFile) {
  const std::string yaml = (folder_.path() / "train.yaml").string();
  FILE* file = std::fopen(yaml.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fputs("steps: 3\nlearning-rate: 0.5\n", file);
  std::fclose(file);
  const CommandResult result =
      run_tessera(command({"--config", yaml, "--learning-rate", "0.01", "--warmup", "0"}));
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr("step 1/3"));
  EXPECT_THAT(result.output, HasSubstr("lr 1.00e-02"));
}

TEST_F(TrainCommand, SaysInOneLineWhatCannotBe) {
  const CommandResult result = run_tessera(command({"--heads", "5"}));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.errors, HasSubstr("heads: expected a divisor of the hidden size 16, found 5"));
}

pid_t start_training(const std::vector<std::string>& arguments) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  std::vector<std::string> all{tessera_binary()};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& argument : all) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  if (std::freopen("/dev/null", "w", stdout) == nullptr) ::_exit(126);
  ::execv(pointers[0], pointers.data());
  ::_exit(127);
}

// The newest of the folders "checkpoint-N".
std::int64_t newest_step(const fs::path& folder) {
  std::int64_t newest = 0;
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator(folder, problem)) {
    std::int64_t step = 0;
    if (std::sscanf(entry.path().filename().c_str(), "checkpoint-%" SCNd64, &step) == 1)
      newest = std::max(newest, step);
  }
  return newest;
}

bool writes_checkpoint(const fs::path& run, pid_t process) {
  std::error_code gone;  // folders come and go while this looks
  for (fs::directory_iterator entry(run, gone), end; !gone && entry != end; entry.increment(gone)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(".unfinished-checkpoint-") && name.ends_with("-" + std::to_string(process)))
      return true;
  }
  return false;
}

// A process that writes a checkpoint every step is killed at a random moment, again and again: whatever it
// left, the newest complete checkpoint loads, and no step that was once complete is lost.
TEST_F(TrainCommand, LosesNoCheckpointWhenItIsKilled) {
  const int kills = std::getenv("TESSERA_SLOW_TESTS") == nullptr ? 12 : 500;
  std::mt19937_64 random(std::random_device{}());
  std::int64_t reached = 0;
  int within = 0;
  for (int kill = 0; kill < kills; ++kill) {
    const pid_t child = start_training(command({"--steps", "1000000", "--save-every", "1", "--evaluate-every",
                                                "1000000", "--resume", "--ema", "0.9"}));
    ASSERT_GT(child, 0);
    // A few more checkpoints, however slow the machine, and then at any moment.
    const std::int64_t wanted_step = reached + std::uniform_int_distribution<int>(1, 20)(random);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(120);
    while (newest_step(out()) < wanted_step && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    std::this_thread::sleep_for(
        std::chrono::microseconds(std::uniform_int_distribution<int>(0, 20'000)(random)));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    within += writes_checkpoint(out(), child) ? 1 : 0;
    const auto newest = train::newest_checkpoint(out());
    if (!newest) {
      ASSERT_EQ(reached, 0) << "every checkpoint is gone after kill " << kill;
      continue;
    }
    const train::TrainingState state = train::read_training_state(*newest);
    ASSERT_GE(state.step, reached) << "a complete checkpoint was lost at kill " << kill;
    reached = state.step;
    for (const std::string& model : {*newest, *newest + "/ema"}) {
      const formats::ModelFiles files = formats::open_model_files(model);
      ASSERT_NO_THROW(models::create_model(formats::require_weights(files)));
    }
  }
  RecordProperty("kills_while_a_checkpoint_was_written", within);
  std::printf("%d kills, %d of them while a checkpoint was written, %lld steps reached\n", kills, within,
              static_cast<long long>(reached));
  EXPECT_GT(reached, 0) << "no checkpoint was ever complete: the test killed too early";
  // A dozen may by chance all miss.
  EXPECT_TRUE(within > 0 || kills < 100) << "no kill came while a checkpoint was written";
}

}  // namespace
}  // namespace tessera::testing
