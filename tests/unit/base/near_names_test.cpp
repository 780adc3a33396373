#include "base/near_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tessera {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(NearNamesTest, DistanceCountsEditsAndSwaps) {
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("caht", "chat"), 1U);
  EXPECT_EQ(edit_distance("CHAT", "chat"), 0U);
}

TEST(NearNamesTest, NearestFirstAndNothingFar) {
  const std::vector<std::string> names = {"chat", "generate", "tokenize", "template", "models"};
  EXPECT_THAT(near_names("cht", names), ElementsAre("chat"));
  EXPECT_THAT(near_names("model", names), ElementsAre("models"));
  EXPECT_THAT(near_names("xyzzy", names), IsEmpty());
  EXPECT_THAT(near_names("", names), IsEmpty());
  EXPECT_THAT(near_names(std::string(100000, 'a'), names), IsEmpty());
}

}  // namespace
}  // namespace tessera
