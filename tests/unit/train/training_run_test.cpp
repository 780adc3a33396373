// Whole runs: what they leave on the disk, that they go on to the same bits, and that they refuse what cannot
// be.
#include "train/training_run.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/open_model_files.h"
#include "models/model.h"
#include "support/error_of.h"
#include "support/test_paths.h"
#include "train/token_file_writer.h"
#include "training_fixture.h"

namespace tessera::train::testing {
namespace {

namespace fs = std::filesystem;

void write_tokens(const fs::path& path, std::uint64_t stream, std::size_t count,
                  std::uint64_t vocabulary = 11) {
  std::vector<TokenId> ids;
  for (std::uint64_t i = 0; i < count; ++i) ids.push_back(skewed_token(stream, i, 11));
  TokenFileWriter writer(path.string(), {.vocabulary_size = vocabulary});
  writer.add_document(ids);
  writer.commit();
}

class TrainingRun : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("training_run_" + std::to_string(std::random_device{}()));
    fs::create_directories(folder_ / "data");
    write_tokens(folder_ / "data" / "train.tokens", 1, 400);
    write_tokens(folder_ / "data" / "validation.tokens", 2, 100);
  }
  void TearDown() override { fs::remove_all(folder_); }

  TrainingConfig config(const std::string& out) const {
    TrainingConfig c;
    c.data = (folder_ / "data").string();
    c.out = (folder_ / out).string();
    c.layers = 1;
    c.heads = 2;
    c.hidden_size = 16;
    c.seq_len = 8;
    c.batch_size = 3;
    c.steps = 12;
    c.warmup = 3;
    c.learning_rate = 1e-2;
    c.minimum_learning_rate = 1e-3;
    c.evaluate_every = 6;
    c.save_every = 0;
    return c;
  }
  std::string file(const std::string& out, const std::string& name) const {
    return read_file((folder_ / out / name).string());
  }

  fs::path folder_;
};

TEST_F(TrainingRun, LeavesAModelThatOpensAndALineAStep) {
  const TrainingResult result = run_training(config("run"), {});
  EXPECT_EQ(result.steps, 12);
  ASSERT_TRUE(result.validation_loss.has_value());
  const formats::ModelFiles files = formats::open_model_files((folder_ / "run" / "latest").string());
  const auto model = models::create_model(formats::require_weights(files));
  EXPECT_EQ(model->config().architecture, "gpt2");
  std::ifstream metrics(folder_ / "run" / "metrics.jsonl");
  int lines = 0;
  for (std::string line; std::getline(metrics, line);) {
    const auto entry = nlohmann::json::parse(line);
    EXPECT_EQ(entry.at("step"), ++lines);
    EXPECT_GT(entry.at("loss").get<double>(), 0);
    EXPECT_EQ(entry.contains("validation_loss"), lines % 6 == 0);
  }
  EXPECT_EQ(lines, 12);
}

// The choice is in the run's config.json, so that whoever opens the model makes the same one.
TEST_F(TrainingRun, ChoosesTheAttentionOfEachLayer) {
  const TrainingResult flash = run_training(config("flash"), {});
  EXPECT_EQ(nlohmann::json::parse(file("flash", "config.json")).count("attention_mechanism"), 0U);
  TrainingConfig dense = config("dense");
  dense.attention = "dense";
  EXPECT_NEAR(run_training(dense, {}).last_loss, flash.last_loss, 1e-4);
  EXPECT_EQ(nlohmann::json::parse(file("dense", "latest/config.json")).at("attention_mechanism"), "dense");
  TrainingConfig mixed = config("mixed");
  mixed.layers = 2;
  mixed.steps = 1;
  mixed.attention = "dense,flash";
  run_training(mixed, {});
  EXPECT_EQ(nlohmann::json::parse(file("mixed", "latest/config.json")).at("attention_mechanisms"),
            nlohmann::json({"dense", "flash"}));
}

// Stopped after any step and gone on from there, a run ends in the same bits: weights, optimizer, data order.
TEST_F(TrainingRun, ResumesToTheSameBits) {
  for (const char* optimizer : {"adamw", "lion"}) {
    TrainingConfig whole = config(std::string("whole-") + optimizer);
    whole.optimizer = optimizer;
    whole.dropout = 0.2;
    run_training(whole, {});
    std::mt19937_64 random(std::random_device{}());
    for (int trial = 0; trial < 4; ++trial) {
      const std::string out = std::string("parts-") + optimizer + std::to_string(trial);
      TrainingConfig part = config(out);
      part.optimizer = optimizer;
      part.dropout = 0.2;
      const auto stop_at = std::uniform_int_distribution<std::int64_t>(1, 11)(random);
      std::atomic<bool> stop{false};
      TrainingEvents events;
      events.step = [&](const StepLine& line) { stop = line.result.step == stop_at; };
      const TrainingResult stopped = run_training(part, events, &stop);
      EXPECT_TRUE(stopped.stopped);
      EXPECT_EQ(stopped.steps, stop_at);
      part.resume = true;
      run_training(part, {});
      for (const char* name : {"model.safetensors", "optimizer.safetensors"}) {
        EXPECT_EQ(file(out, fs::path("checkpoint-12") / name),
                  file(std::string("whole-") + optimizer, fs::path("checkpoint-12") / name))
            << name << " after a stop at step " << stop_at << ", " << optimizer;
      }
      EXPECT_EQ(
          read_training_state((folder_ / out / "checkpoint-12").string()).data,
          read_training_state((folder_ / ("whole-" + std::string(optimizer)) / "checkpoint-12").string())
              .data);
    }
  }
}

TEST_F(TrainingRun, PassesOverADamagedCheckpoint) {
  TrainingConfig c = config("run");
  c.save_every = 4;
  c.keep = 3;
  run_training(c, {});
  const std::string out = c.out;
  EXPECT_TRUE(newest_checkpoint(out)->ends_with("checkpoint-12"));
  {  // one byte changed
    std::fstream weights(fs::path(out) / "checkpoint-12" / "model.safetensors",
                         std::ios::in | std::ios::out | std::ios::binary);
    weights.seekp(-1, std::ios::end);
    weights.put('\x55');
  }
  fs::resize_file(fs::path(out) / "checkpoint-8" / "optimizer.safetensors", 100);
  std::vector<std::string> rejected;
  EXPECT_TRUE(newest_checkpoint(out, &rejected)->ends_with("checkpoint-4"));
  ASSERT_EQ(rejected.size(), 2U);
  EXPECT_NE(rejected[0].find("model.safetensors: damaged"), std::string::npos) << rejected[0];
  EXPECT_NE(rejected[1].find("found 100"), std::string::npos) << rejected[1];
}

TEST_F(TrainingRun, KeepsTheNewestCheckpointsAndClearsWhatWasLeftHalfWritten) {
  TrainingConfig c = config("run");
  c.save_every = 3;
  c.keep = 2;
  fs::create_directories(fs::path(c.out) / ".unfinished-checkpoint-3-1");
  run_training(c, {});
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(c.out)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"checkpoint-12", "checkpoint-9", "config.json", "latest",
                                             "metrics.jsonl"}));
}

TEST_F(TrainingRun, SaysWhatCannotBeBeforeItBegins) {
  const auto error = [&](const auto& change) {
    TrainingConfig c = config("refused");
    change(c);
    return tessera::testing::error_of([&] { run_training(c, {}); });
  };
  const auto expect_error = [&](const auto& change, const std::string& expected) {
    const std::string found = error(change);
    EXPECT_NE(found.find(expected), std::string::npos) << found;
  };
  expect_error([](TrainingConfig& c) { c.heads = 3; },
               "heads: expected a divisor of the hidden size 16, found 3");
  expect_error([](TrainingConfig& c) { c.steps = 0; }, "steps: expected 1 or more");
  expect_error([](TrainingConfig& c) { c.seq_len = 4000; }, "train.tokens");
  expect_error([](TrainingConfig& c) { c.precision = "f16"; }, "precision: expected f32 or bf16");
  expect_error([](TrainingConfig& c) { c.schedule = "cos"; }, "schedule: expected constant");
  expect_error([](TrainingConfig& c) { c.data = "/nowhere"; }, "/nowhere/train.tokens");
  expect_error([](TrainingConfig& c) { c.architecture = "mamba"; }, "expected gpt2 or llama");
  expect_error([](TrainingConfig& c) { c.attention = "dens"; }, "attention: expected one of dense, flash");
  expect_error([](TrainingConfig& c) { c.attention = "dense,flash"; }, "one for each of 1 layers, found 2");
  expect_error([](TrainingConfig& c) { c.model = "config.json", c.attention = "dense"; },
               "attention: expected no choice beside --model");
}

TEST_F(TrainingRun, RefusesTokensOutsideTheModelsVocabularyAndWindowsBeyondItsPositions) {
  TrainingConfig first = config("first");
  run_training(first, {});
  TrainingConfig more = config("more");
  more.model = (folder_ / "first" / "latest").string();
  more.seq_len = 9;
  EXPECT_NE(
      tessera::testing::error_of([&] { run_training(more, {}); }).find("at most the model's 8 positions"),
      std::string::npos);
  more.seq_len = 8;
  write_tokens(folder_ / "data" / "train.tokens", 1, 400, 12);
  EXPECT_NE(
      tessera::testing::error_of([&] { run_training(more, {}); }).find("vocabulary of 11, found one of 12"),
      std::string::npos);
  EXPECT_NE(tessera::testing::error_of([&] { run_training(first, {}); }).find("--resume"), std::string::npos);
}

TEST_F(TrainingRun, ReadsYaml) {
  const std::string path = (folder_ / "train.yaml").string();
  write_file_atomically(path, "# a run\nlearning_rate: 2e-3\nsteps: 7\nresume: true\nschedule: wsd\n");
  TrainingConfig c;
  read_training_yaml(path, c);
  EXPECT_EQ(c.learning_rate, 2e-3);
  EXPECT_EQ(c.steps, 7);
  EXPECT_TRUE(c.resume);
  EXPECT_EQ(c.schedule, "wsd");
  const auto error = [&](const char* text) {
    write_file_atomically(path, text);
    return tessera::testing::error_of([&] { read_training_yaml(path, c); });
  };
  EXPECT_NE(error("steps: 3\nlerning-rate: 1\n")
                .find("line 2: unknown key 'lerning-rate'; did you mean 'learning-rate'?"),
            std::string::npos);
  EXPECT_NE(error("steps: many\n").find("line 1: key 'steps': expected a whole number, found 'many'"),
            std::string::npos);
  EXPECT_NE(error("steps: [1, 2]\n").find("key 'steps'"), std::string::npos);
  EXPECT_NE(error("- a\n- b\n").find("expected keys and values"), std::string::npos);
  EXPECT_NE(error("a: [\n").find("line"), std::string::npos);
}

}  // namespace
}  // namespace tessera::train::testing
