#include "base/profile.h"

#include <gtest/gtest.h>

#include <thread>

namespace tessera {
namespace {

using namespace std::chrono_literals;

TEST(Profile, NothingIsCountedWithoutAScope) {
  Profile profile;
  {
    const ProfileTimer timer("outside");
  }
  {
    const ProfileScope scope(profile);
    const ProfileTimer timer("inside");
  }
  {
    const ProfileTimer timer("outside");
  }
  ASSERT_EQ(profile.entries().size(), 1U);
  EXPECT_EQ(profile.entries()[0].operation, "inside");
  EXPECT_EQ(profile.entries()[0].calls, 1);
}

TEST(Profile, TimeWithinAnotherOperationIsCountedOnce) {
  Profile profile;
  const auto start = std::chrono::steady_clock::now();
  {
    const ProfileScope scope(profile);
    const ProfileTimer outer("outer");
    for (int i = 0; i < 2; ++i) {
      const ProfileTimer inner("inner");
      std::this_thread::sleep_for(2ms);
    }
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const auto entries = profile.entries();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].operation, "inner");
  EXPECT_EQ(entries[0].calls, 2);
  EXPECT_GE(entries[0].seconds, 0.004);
  EXPECT_LE(profile.seconds(), elapsed.count());
}

TEST(Profile, DescriptionsAreMadeOnlyForAProfile) {
  int made = 0;
  const auto describe = [&] {
    ++made;
    return std::string("described");
  };
  {
    const ProfileTimer timer(describe);
  }
  EXPECT_EQ(made, 0);
  Profile profile;
  const ProfileScope scope(profile);
  {
    const ProfileTimer timer(describe);
  }
  EXPECT_EQ(made, 1);
}

TEST(Profile, ScopesNestAndOtherThreadsAreNotCounted) {
  Profile outer;
  Profile inner;
  const ProfileScope outer_scope(outer);
  {
    const ProfileScope inner_scope(inner);
    const ProfileTimer timer("a");
  }
  std::thread([] { const ProfileTimer timer("elsewhere"); }).join();
  {
    const ProfileTimer timer("b");
  }
  ASSERT_EQ(inner.entries().size(), 1U);
  ASSERT_EQ(outer.entries().size(), 1U);
  EXPECT_EQ(outer.entries()[0].operation, "b");
}

}  // namespace
}  // namespace tessera
