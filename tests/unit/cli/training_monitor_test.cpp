// What the live view tells of a run.
#include "cli/training_monitor.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "support/test_paths.h"

namespace tessera::cli {
namespace {

using nlohmann::json;

train::StepLine line_of(std::int64_t step) {
  train::StepLine line;
  line.result.step = step;
  line.result.loss = 1.0 / static_cast<double>(step);
  line.steps = 100000;
  return line;
}

TEST(TrainingMonitor, TellsWhatCameAfterAStep) {
  TrainingMonitor monitor("run/model/");
  for (std::int64_t step = 1; step <= 10; ++step) monitor.add(line_of(step));
  monitor.add(train::SampleLine{4, "p", "an <img> \xff"});
  monitor.add(train::SampleLine{8, "p", "later"});
  const json all = json::parse(monitor.state_json(-1));
  EXPECT_EQ(all["step"], 10);
  EXPECT_EQ(all["checkpoint"], nullptr);
  EXPECT_EQ(all["points"].size(), 10U);
  EXPECT_EQ(all["samples"][0]["text"], "an <img> \xef\xbf\xbd");
  monitor.set_served_checkpoint("checkpoint-5");
  const json later = json::parse(monitor.state_json(7));
  ASSERT_EQ(later["points"].size(), 3U);
  EXPECT_EQ(later["points"][0]["step"], 8);
  EXPECT_EQ(later["samples"].size(), 1U);
  EXPECT_EQ(later["checkpoint"], "checkpoint-5");
}

TEST(TrainingMonitor, ChoosesEvenlyOfManyStepsAndKeepsWhatWasMeasured) {
  TrainingMonitor monitor("run");
  for (std::int64_t step = 1; step <= 30000; ++step) {
    train::StepLine line = line_of(step);
    if (step % 1237 == 0) line.validation_loss = 2.0;
    monitor.add(line);
  }
  const json state = json::parse(monitor.state_json(-1));
  EXPECT_LE(state["points"].size(), 2000U + 30000U / 1237U + 1);
  EXPECT_GE(state["points"].size(), 1500U);
  EXPECT_EQ(state["points"].back()["step"], 30000);
  int measured = 0;
  for (const json& point : state["points"]) measured += point.contains("validation_loss") ? 1 : 0;
  EXPECT_EQ(measured, 30000 / 1237);
}

TEST(TrainingMonitor, GoesOnFromWhatTheRunWroteBefore) {
  const tessera::testing::TemporaryFolder folder;
  {
    std::ofstream metrics(folder.path() / "metrics.jsonl");
    for (int step = 1; step <= 6; ++step) {
      metrics << json{{"step", step}, {"loss", 2.5}, {"tokens_per_second", 7.0}}.dump() << "\n";
    }
    std::ofstream(folder.path() / "samples.jsonl") << train::sample_json({2, "a", "b"}) << "\n"
                                                   << train::sample_json({6, "a", "c"}) << "\n";
  }
  TrainingMonitor monitor(folder.path().string());
  monitor.begin(4);
  monitor.add(line_of(5));
  const json state = json::parse(monitor.state_json(-1));
  ASSERT_EQ(state["points"].size(), 5U);
  EXPECT_EQ(state["points"][3]["loss"], 2.5);
  EXPECT_EQ(state["points"][4]["step"], 5);
  EXPECT_EQ(state["samples"].size(), 1U);
}

}  // namespace
}  // namespace tessera::cli
