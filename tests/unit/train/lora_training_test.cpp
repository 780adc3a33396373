// Runs that train an adapter: the loss falls, the base keeps its bits, a stop and a resume change nothing,
// and quantised bases do as well.
#include "train/lora_training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <random>

#include "base/mapped_file.h"
#include "formats/open_model_files.h"
#include "support/error_of.h"
#include "support/test_paths.h"
#include "train/token_file_writer.h"
#include "train/training_run.h"
#include "training_fixture.h"

namespace tessera::train::testing {
namespace {

namespace fs = std::filesystem;
using tessera::testing::error_of;
using ::testing::HasSubstr;

class LoraTraining : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"train", "validation"}) {
      std::vector<TokenId> ids;
      for (std::uint64_t i = 0; i < 400; ++i) ids.push_back(skewed_token(*name, i, 11));
      TokenFileWriter writer((folder_.path() / (std::string(name) + ".tokens")).string(),
                             {.vocabulary_size = 11});
      writer.add_document(ids);
      writer.commit();
    }
  }
  TrainingConfig config(const std::string& out, const std::string& base = "llama") const {
    TrainingConfig c;
    c.data = folder_.path().string();
    c.out = path(out);
    c.model = (tessera::testing::golden_dir() / "models" / base).string();
    c.lora_r = 4;
    c.seq_len = 16;
    c.batch_size = 3;
    c.steps = 12;
    c.warmup = 2;
    c.learning_rate = 1e-2;
    c.minimum_learning_rate = 1e-3;
    c.save_every = 0;
    return c;
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string file(const std::string& out, const char* name) const {
    return read_file((folder_.path() / out / "checkpoint-12" / name).string());
  }
  // The losses of the first and the last step.
  static std::pair<double, double> losses(const TrainingConfig& c) {
    std::pair<double, double> found;
    TrainingEvents events;
    events.step = [&](const StepLine& line) {
      if (line.result.step == 1) found.first = line.result.loss;
      found.second = line.result.loss;
    };
    run_training(c, events);
    return found;
  }

  tessera::testing::TemporaryFolder folder_;
};

TEST_F(LoraTraining, LearnsBesideEveryKindOfBase) {
  for (const char* base : {"llama", "llama.gguf", "llama_bf16", "gpt2", "phi3", "gemma2"}) {
    const TrainingConfig c = config(std::string("run-") + base, base);
    const auto [first, last] = losses(c);
    EXPECT_LT(last, 0.9 * first) << base;
    const formats::PeftAdapter adapter = formats::read_peft_adapter(c.out + "/latest");
    EXPECT_EQ(adapter.config.r, 4);
    EXPECT_EQ(adapter.config.fan_in_fan_out, std::string(base) == "gpt2");
    EXPECT_FALSE(fs::exists(c.out + "/latest/model.safetensors"));
  }
}

TEST_F(LoraTraining, LearnsBesideQuantisedWeights) {
  std::size_t tried = 0;
  for (const auto& entry : fs::directory_iterator(tessera::testing::golden_dir() / "models")) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".gguf") || name.find("_q") == name.npos) continue;
    const auto [first, last] = losses(config("run-" + name, name));
    EXPECT_LT(last, 0.9 * first) << name;
    ++tried;
  }
  EXPECT_GT(tried, 0U);
}

TEST_F(LoraTraining, ResumesToTheSameBits) {
  TrainingConfig whole = config("whole");
  whole.lora_dropout = 0.3;
  whole.use_rslora = true;
  whole.target_modules = "q_proj, down_proj";
  run_training(whole, {});
  std::mt19937_64 random(std::random_device{}());
  for (int trial = 0; trial < 3; ++trial) {
    TrainingConfig part = whole;
    part.out = path("part" + std::to_string(trial));
    const auto stop_at = std::uniform_int_distribution<std::int64_t>(1, 11)(random);
    std::atomic<bool> stop{false};
    TrainingEvents events;
    events.step = [&](const StepLine& line) { stop = line.result.step == stop_at; };
    EXPECT_TRUE(run_training(part, events, &stop).stopped);
    part.resume = true;
    run_training(part, {});
    for (const char* name : {"adapter_model.safetensors", "optimizer.safetensors", "adapter_config.json"}) {
      EXPECT_EQ(file("part" + std::to_string(trial), name), file("whole", name)) << stop_at;
    }
  }
}

TEST_F(LoraTraining, ComputingActivationsAgainChangesNoBit) {
  for (const bool again : {false, true}) {
    TrainingConfig c = config(again ? "again" : "kept");
    c.lora_dropout = 0.2;
    c.activation_checkpointing = again;
    run_training(c, {});
  }
  EXPECT_EQ(file("again", "adapter_model.safetensors"), file("kept", "adapter_model.safetensors"));
}

TEST_F(LoraTraining, LeavesTheBaseAsItWas) {
  const TrainingConfig c = config("run");
  LoraRun run = open_lora_run(c, std::nullopt);
  std::vector<std::vector<float>> before;
  for (const models::Parameter& parameter : run.model->parameters()) {
    const auto values = parameter.tensor.as<float>();
    before.emplace_back(values.begin(), values.end());
  }
  ASSERT_FALSE(before.empty());
  Trainer trainer(*run.model, trainer_options(c), run.parameters);
  const nn::LoraScope scope(kTrainedLora);
  for (std::uint64_t step = 0; step < 3; ++step) {
    trainer.step([&](Batch& batch) { batch = counted_batch(step, 2, 16, 11); });
  }
  std::size_t index = 0;
  for (const models::Parameter& parameter : run.model->parameters()) {
    const auto values = parameter.tensor.as<float>();
    EXPECT_EQ(std::vector<float>(values.begin(), values.end()), before[index++]) << parameter.name;
  }
  bool changed = false;
  for (const models::Parameter& parameter : run.parameters) {
    if (parameter.name.find("lora_B") == std::string::npos) continue;
    for (const float value : parameter.tensor.as<float>()) changed = changed || value != 0.0F;
  }
  EXPECT_TRUE(changed);
}

TEST_F(LoraTraining, SaysWhatCannotBe) {
  const auto error = [&](const auto& change) {
    TrainingConfig c = config("refused");
    change(c);
    return error_of([&] { run_training(c, {}); });
  };
  EXPECT_THAT(error([](TrainingConfig& c) { c.model = ""; }), HasSubstr("--model"));
  EXPECT_THAT(error([](TrainingConfig& c) { c.lora_r = -1; }), HasSubstr("lora-r"));
  EXPECT_THAT(error([](TrainingConfig& c) { c.lora_alpha = 0; }), HasSubstr("lora-alpha"));
  EXPECT_THAT(error([](TrainingConfig& c) { c.lora_dropout = 1; }), HasSubstr("lora-dropout"));
  EXPECT_THAT(error([](TrainingConfig& c) { c.target_modules = " ,"; }), HasSubstr("target-modules"));
  EXPECT_THAT(error([](TrainingConfig& c) { c.target_modules = "wq"; }), HasSubstr("q_proj"));
  EXPECT_THAT(error([](TrainingConfig& c) { c.target_modules = "lm_head"; }), HasSubstr("lm_head"));
  run_training(config("run"), {});
  TrainingConfig other = config("run");
  other.resume = true;
  other.lora_r = 5;
  EXPECT_THAT(error_of([&] { run_training(other, {}); }), HasSubstr("found r 4"));
}

}  // namespace
}  // namespace tessera::train::testing
