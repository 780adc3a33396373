// mpirun -np N tessera train: the same curve on any number of ranks, and what becomes of a run when one dies.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "support/run_command.h"
#include "support/test_paths.h"
#include "train/checkpoint.h"
#include "train/distributed/process_group.h"
#include "train/metrics_file.h"
#include "train/token_file_writer.h"

namespace tessera::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class TrainOnRanks : public ::testing::Test {
 protected:
  void SetUp() override {
    if (train::mpi_version().empty()) GTEST_SKIP() << "this build knows no MPI (libopenmpi-dev)";
    const CommandResult nothing =
        run_command({"mpirun", "-np", "2", "--oversubscribe", "--allow-run-as-root", "true"});
    if (nothing.exit_code != 0) {
      GTEST_SKIP() << "mpirun (openmpi-bin) starts no processes here: " << nothing.errors;
    }
    fs::create_directories(folder_.path() / "data");
    for (const char* name : {"train.tokens", "validation.tokens"}) {
      std::vector<TokenId> ids(600);
      for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<TokenId>(i * i % 13);
      train::TokenFileWriter writer((folder_.path() / "data" / name).string(), {.vocabulary_size = 13});
      writer.add_document(ids);
      writer.commit();
    }
  }
  std::string out(const std::string& name) const { return (folder_.path() / name).string(); }

  // 0 ranks: without mpirun.
  std::vector<std::string> command(int ranks, const std::string& name,
                                   const std::vector<std::string>& more) const {
    std::vector<std::string> all;
    if (ranks > 0) {
      all = {"mpirun",    "-np", std::to_string(ranks), "--oversubscribe", "--allow-run-as-root",
             "--bind-to", "none"};
    }
    for (const char* word : {"train", "--layers", "2", "--heads", "2", "--hidden-size", "16", "--seq-len",
                             "8", "--warmup", "2", "--schedule", "constant"}) {
      if (std::string_view(word) == "train") all.push_back(tessera_binary());
      all.emplace_back(word);
    }
    all.insert(all.end(), {"--data", out("data"), "--out", out(name)});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  CommandResult train(int ranks, const std::string& name, const std::vector<std::string>& more) const {
    return run_command(command(ranks, name, more));
  }
  std::vector<double> curve(const std::string& name, const char* what = "loss") const {
    const std::vector<train::Curve> curves = train::read_metrics(out(name));
    const train::Curve* found = train::find_curve(curves, what);
    return found == nullptr ? std::vector<double>() : found->y;
  }

  TemporaryFolder folder_;
};

void expect_same_curve(const std::vector<double>& expected, const std::vector<double>& found) {
  ASSERT_EQ(found.size(), expected.size());
  // Only the order of float32 sums differs, which eight steps of AdamW carry on.
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], 1e-5 * expected[i]) << "line " << i;
  }
}

TEST_F(TrainOnRanks, ReachTheCurveOfOne) {
  const std::vector<std::string> more{"--batch-size", "8", "--steps", "8", "--evaluate-every", "4"};
  ASSERT_EQ(train(0, "alone", more).exit_code, 0);
  const CommandResult two = train(2, "two", more);
  ASSERT_EQ(two.exit_code, 0) << two.errors;
  EXPECT_THAT(two.output, HasSubstr("2 ranks on 1 machine"));
  EXPECT_EQ(two.output.find("step 1/8"), two.output.rfind("step 1/8")) << "only rank 0 prints\n"
                                                                       << two.output;
  expect_same_curve(curve("alone"), curve("two"));
  expect_same_curve(curve("alone", "validation_loss"), curve("two", "validation_loss"));

  // Four ranks begin, one alone goes on.
  ASSERT_EQ(train(4, "four", {"--batch-size", "8", "--steps", "4", "--evaluate-every", "4"}).exit_code, 0);
  std::vector<std::string> further = more;
  further.emplace_back("--resume");
  const CommandResult one = train(0, "four", further);
  ASSERT_EQ(one.exit_code, 0) << one.errors;
  EXPECT_THAT(one.output, HasSubstr("resumes at step 4"));
  expect_same_curve(curve("alone"), curve("four"));
}

TEST_F(TrainOnRanks, SayOnceWhatCannotBe) {
  const CommandResult result = train(4, "run", {"--batch-size", "6"});
  EXPECT_NE(result.exit_code, 0);
  const std::string line = "batch-size: expected a multiple of the 4 ranks, found 6";
  EXPECT_THAT(result.errors, HasSubstr(line));
  EXPECT_EQ(result.errors.find(line), result.errors.rfind(line)) << result.errors;
}

// Processes of the program that work on this run.
std::vector<pid_t> ranks_of(const std::string& out) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "cmdline");  // empty when it has ended meanwhile
    std::string line;
    std::getline(file, line);
    if (line.starts_with(tessera_binary()) && line.find(out) != std::string::npos) {
      found.push_back(static_cast<pid_t>(std::stol(name)));
    }
  }
  return found;
}

TEST_F(TrainOnRanks, ADeadRankEndsTheRunAndLeavesACheckpoint) {
  const std::vector<std::string> settings{"--batch-size",     "2", "--save-every", "2",
                                          "--evaluate-every", "0", "--resume"};
  std::vector<std::string> endless = settings;
  endless.insert(endless.end(), {"--steps", "1000000"});
  auto run = std::async(std::launch::async, [&] { return train(2, "run", endless); });
  // The checkpoint is what is waited for, however slow the machine; the command's own limit ends a run that
  // writes none.
  while (run.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready &&
         !train::newest_checkpoint(out("run"))) {
  }
  const std::vector<pid_t> ranks = ranks_of(out("run"));
  for (const pid_t rank : ranks) {
    if (rank == ranks.back()) ::kill(rank, SIGKILL);
  }
  const CommandResult result = run.get();
  ASSERT_EQ(ranks.size(), 2U) << result.errors;
  EXPECT_NE(result.exit_code, 0);
  // From mpirun, or from the rank that waited.
  EXPECT_THAT(result.errors, AnyOf(HasSubstr("signal 9"), HasSubstr("one of them died")));
  while (!ranks_of(out("run")).empty()) std::this_thread::sleep_for(std::chrono::milliseconds(20));

  const auto newest = train::newest_checkpoint(out("run"));
  ASSERT_TRUE(newest);
  const std::int64_t step = train::read_training_state(*newest).step;
  std::vector<std::string> further = settings;
  further.insert(further.end(), {"--steps", std::to_string(step + 2)});
  const CommandResult resumed = train(2, "run", further);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.errors;
  EXPECT_THAT(resumed.output, HasSubstr(fmt::format("resumes at step {}", step)));
  EXPECT_EQ(curve("run").size(), static_cast<std::size_t>(step + 2));
}

}  // namespace
}  // namespace tessera::testing
