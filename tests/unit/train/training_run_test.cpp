// Whole runs: what they leave on the disk, that they go on to the same bits, and that they refuse what cannot
// be.
#include "train/training_run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
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

// Every linear kind in either family: the loss falls, and what is left on the disk is a model that opens with
// a state for each layer instead of keys and values.
TEST_F(TrainingRun, TrainsTheLinearKindsOfAttention) {
  for (const char* architecture : {"gpt2", "llama"}) {
    for (const char* kind : {"linear", "gated_linear", "delta_rule", "gated_delta_rule"}) {
      const std::string out = std::string(architecture) + "-" + kind;
      TrainingConfig c = config(out);
      c.architecture = architecture;
      c.attention = kind;
      c.steps = 30;
      c.evaluate_every = 30;
      const TrainingResult result = run_training(c, {});
      const double guessing = std::log(11.0);
      EXPECT_LT(*result.validation_loss, guessing) << out;
      const formats::ModelFiles files = formats::open_model_files((folder_ / out / "latest").string());
      const auto model = models::create_model(formats::require_weights(files));
      EXPECT_GT(model->config().layers.at(0).state_floats, 0) << out;
      EXPECT_EQ(model->config().layers.at(0).num_key_value_heads, 0) << out;
    }
  }
}

// Stopped after any step and gone on from there, a run ends in the same bits: weights, optimizer, data order.
TEST_F(TrainingRun, ResumesToTheSameBits) {
  for (const char* optimizer : {"adamw", "lion"}) {
    TrainingConfig whole = config(std::string("whole-") + optimizer);
    whole.optimizer = optimizer;
    whole.dropout = 0.2;
    whole.ema = 0.9;
    run_training(whole, {});
    std::mt19937_64 random(std::random_device{}());
    const int trials = std::getenv("TESSERA_SLOW_TESTS") == nullptr ? 4 : 25;
    for (int trial = 0; trial < trials; ++trial) {
      const std::string out = std::string("parts-") + optimizer + std::to_string(trial);
      TrainingConfig part = config(out);
      part.optimizer = optimizer;
      part.dropout = 0.2;
      part.ema = 0.9;
      const auto stop_at = std::uniform_int_distribution<std::int64_t>(1, 11)(random);
      std::atomic<bool> stop{false};
      TrainingEvents events;
      events.step = [&](const StepLine& line) { stop = line.result.step == stop_at; };
      const TrainingResult stopped = run_training(part, events, &stop);
      EXPECT_TRUE(stopped.stopped);
      EXPECT_EQ(stopped.steps, stop_at);
      part.resume = true;
      run_training(part, {});
      for (const char* name : {"model.safetensors", "optimizer.safetensors", "ema/model.safetensors"}) {
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

TEST_F(TrainingRun, PassesOverACheckpointWithoutItsAverages) {
  TrainingConfig c = config("run");
  c.save_every = 6;
  c.ema = 0.9;
  run_training(c, {});
  fs::remove(fs::path(c.out) / "checkpoint-12" / "ema" / "model.safetensors");
  EXPECT_TRUE(newest_checkpoint(c.out)->ends_with("checkpoint-6"));
}

// What a checkpoint copies from the one it went on from must not go away with that one.
TEST_F(TrainingRun, GoesOnWhenTheCheckpointItBeganFromIsGone) {
  TrainingConfig c = config("run");
  c.steps = 2;
  run_training(c, {});
  c.steps = 6;
  c.save_every = 1;
  c.keep = 1;
  c.resume = true;
  EXPECT_EQ(run_training(c, {}).steps, 6);
}

TEST_F(TrainingRun, MeasuresAndSavesTheAveragedWeights) {
  TrainingConfig c = config("run");
  c.ema = 0.9;
  const TrainingResult result = run_training(c, {});
  ASSERT_TRUE(result.average_validation_loss.has_value());
  EXPECT_NE(*result.average_validation_loss, *result.validation_loss);
  // What was saved is what was measured.
  const auto saved_loss = [&](const fs::path& folder) {
    const formats::ModelFiles files = formats::open_model_files((folder_ / "run" / folder).string());
    const auto model =
        models::create_model(formats::require_weights(files), {.weight_form = models::WeightForm::trainable});
    const TokenDataset set(TokenFile::open((folder_ / "data" / "validation.tokens").string()),
                           {.seq_len = 8, .keep_tail = true});
    return evaluate(*model, set, 1024);
  };
  EXPECT_EQ(saved_loss("latest"), *result.validation_loss);
  EXPECT_EQ(saved_loss("latest/ema"), *result.average_validation_loss);
}

// A learning rate this high stops getting better at once; the best measurement's checkpoint stays.
TEST_F(TrainingRun, EndsWhenPatienceDoesAndKeepsTheBest) {
  TrainingConfig c = config("run");
  c.steps = 400;
  c.evaluate_every = 2;
  c.patience = 3;
  c.keep = 1;
  c.schedule = "constant";
  c.learning_rate = c.minimum_learning_rate = 0.3;
  std::vector<double> losses;
  TrainingEvents events;
  events.step = [&](const StepLine& line) {
    if (line.validation_loss) losses.push_back(*line.validation_loss);
  };
  const TrainingResult result = run_training(c, events);
  ASSERT_TRUE(result.out_of_patience);
  ASSERT_GE(losses.size(), 4U);
  const auto best = std::ranges::min_element(losses);
  EXPECT_EQ(losses.end() - best, 4) << "three measurements after the best";
  EXPECT_EQ(*result.best_validation_loss, *best);
  const TrainingState state = read_training_state((fs::path(c.out) / "best").string());
  EXPECT_EQ(state.step, 2 * (best - losses.begin() + 1));
  EXPECT_EQ(read_training_state((fs::path(c.out) / "latest").string()).step, result.steps);
  c.resume = true;  // there is nothing to go on with
  EXPECT_EQ(run_training(c, {}).steps, result.steps);
}

TEST_F(TrainingRun, WritesSamplesAndLeavesTheTrainingAsItIs) {
  TrainingConfig plain = config("plain");
  run_training(plain, {});
  TrainingConfig c = config("run");
  write_file_atomically((folder_ / "data" / "tokenizer.json").string(), "{}");
  c.sample_every = 5;
  c.sample_prompt = "once";
  std::vector<std::int64_t> told;
  TrainingEvents events;
  events.continue_text = [](const SampleRequest& request) {
    EXPECT_TRUE(fs::exists(request.tokenizer_json));
    return fmt::format(" upon {}", request.seed);
  };
  events.sample = [&](const SampleLine& sample) { told.push_back(sample.step); };
  run_training(c, events);
  EXPECT_EQ(told, (std::vector<std::int64_t>{0, 5, 10, 12}));
  std::ifstream samples(folder_ / "run" / "samples.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(samples, line));
  ASSERT_TRUE(std::getline(samples, line));
  const auto entry = nlohmann::json::parse(line);
  EXPECT_EQ(entry.at("step"), 5);
  EXPECT_EQ(entry.at("prompt"), "once");
  EXPECT_EQ(entry.at("text"), fmt::format(" upon {}", c.seed + 5));
  EXPECT_EQ(file("run", "checkpoint-12/model.safetensors"), file("plain", "checkpoint-12/model.safetensors"));
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

TEST_F(TrainingRun, TrainsWithSparsePatternsAndKeepsTheirSettings) {
  TrainingConfig sparse = config("sparse");
  sparse.steps = 3;
  sparse.attention = "sparse_heads";
  sparse.attention_heads = "sparse_local,sparse_fixed";
  sparse.attention_stride = 4;
  sparse.attention_columns = 1;
  EXPECT_TRUE(std::isfinite(run_training(sparse, {}).last_loss));
  const auto written = nlohmann::json::parse(file("sparse", "latest/config.json"));
  EXPECT_EQ(written.at("attention_heads"), nlohmann::json({"sparse_local", "sparse_fixed"}));
  EXPECT_EQ(written.at("attention_stride"), 4);
  EXPECT_EQ(written.at("attention_columns"), 1);
  EXPECT_EQ(written.count("attention_window"), 0U);
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
  expect_error([](TrainingConfig& c) { c.ema = 1; }, "ema: expected a number from 0");
  expect_error([](TrainingConfig& c) { c.patience = -1; }, "patience: expected 0 or more");
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
