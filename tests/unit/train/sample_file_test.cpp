#include "train/sample_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/test_paths.h"

namespace tessera::train {
namespace {

TEST(SampleFile, GivesBackWhatWasWritten) {
  const tessera::testing::TemporaryFolder folder;
  EXPECT_TRUE(read_samples(folder.path().string()).empty());
  {
    std::ofstream file(folder.path() / "samples.jsonl");
    file << sample_json({5, "a \"prompt\"\n", "and \xff what follows"}) << "\n";
    file << "not json\n[1]\n{\"step\": 6}\n{\"step\": \"7\", \"prompt\": \"\", \"text\": \"\"}\n";
    file << sample_json({10, "", "x"}) << "\n{\"step\": 15, \"pro";
  }
  const std::vector<SampleLine> samples = read_samples(folder.path().string());
  ASSERT_EQ(samples.size(), 2U);
  EXPECT_EQ(samples[0].step, 5);
  EXPECT_EQ(samples[0].prompt, "a \"prompt\"\n");
  EXPECT_EQ(samples[0].text, "and \xef\xbf\xbd what follows");
  EXPECT_EQ(samples[1].step, 10);
}

}  // namespace
}  // namespace tessera::train
