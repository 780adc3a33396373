// What ranks say to each other: sums in one order, and errors that leave nobody waiting.
#include "train/distributed/process_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "support/error_of.h"
#include "thread_ranks.h"

namespace tessera::train::testing {
namespace {

using ::testing::HasSubstr;

TEST(ProcessGroup, SumsInTheOrderOfRanks) {
  // In any other order than (1e16 + 1) - 1e16 + 1 the rounding differs.
  const std::vector<double> values{1e16, 1.0, -1e16, 1.0};
  double expected = 0;
  for (const double value : values) expected += value;
  on_ranks(4, [&](ProcessGroup& group) {
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(group.sum(values[static_cast<std::size_t>(group.rank())]), expected);
    }
    std::vector<double> pair{1.0, static_cast<double>(group.rank())};
    group.all_reduce_sum(pair);
    EXPECT_EQ(pair, (std::vector<double>{4.0, 6.0}));
  });
}

TEST(ProcessGroup, GivesEverybodyWhatOneHas) {
  on_ranks(3, [](ProcessGroup& group) {
    std::vector<int> values(1000, group.rank());
    group.broadcast(std::as_writable_bytes(std::span(values)), 1);
    EXPECT_EQ(values, std::vector<int>(1000, 1));
    group.barrier();
  });
}

TEST(ProcessGroup, AnErrorOfOneRankReachesAll) {
  on_ranks(3, [](ProcessGroup& group) {
    EXPECT_NO_THROW(group.together([] {}));
    EXPECT_FALSE(group.ended_together());
    try {
      group.together([&] {
        if (group.rank() > 0) fail(ErrorKind::io, "the disk of rank {}", group.rank());
      });
      ADD_FAILURE() << "nobody threw";
    } catch (const Error& error) {
      const bool first = group.rank() == 1;
      EXPECT_EQ(error.kind(), first ? ErrorKind::io : ErrorKind::cancelled);
      EXPECT_STREQ(error.what(), first ? "the disk of rank 1" : "rank 1 says why");
    }
    EXPECT_TRUE(group.ended_together());
  });
}

// A rank that waits for one that is gone ends when it is asked to.
TEST(ProcessGroup, DoesNotWaitForeverOnceAskedToEnd) {
  ThreadWorld world(2);
  ThreadRank alone(world, 0);
  const std::atomic<bool> asked{true};
  alone.set_interruption(&asked);
  const auto message = tessera::testing::error_of([&] { alone.barrier(); });
  EXPECT_THAT(message, HasSubstr("rank 0 of 2 was asked to end while it waited for the others"));
}

TEST(ProcessGroup, AWorldOfOneNeedsNoMessages) {
  const auto alone = world_of_one();
  EXPECT_EQ(alone->size(), 1);
  EXPECT_TRUE(alone->is_first());
  EXPECT_EQ(alone->sum(2.5), 2.5);
  std::vector<double> values{1.0, 2.0};
  alone->all_reduce_sum(values);
  EXPECT_EQ(values, (std::vector<double>{1.0, 2.0}));
}

}  // namespace
}  // namespace tessera::train::testing
