#include "base/checked_size.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"

namespace tessera {
namespace {

constexpr std::uint64_t kMaximum = std::numeric_limits<std::uint64_t>::max();

TEST(CheckedSize, AddsMultipliesAndSubtracts) { EXPECT_EQ((CheckedSize(3) * 4 + 5 - 7).value(), 10U); }

TEST(CheckedSize, RejectsWhatWouldWrap) {
  EXPECT_THROW(CheckedSize(kMaximum) + 1, Error);
  EXPECT_THROW(CheckedSize(1ULL << 33) * (1ULL << 33), Error);
  EXPECT_THROW(CheckedSize(3) - 4, Error);
  EXPECT_THROW(CheckedSize::from_signed(-1), Error);
}

TEST(CheckedSize, AlignsToPowersOfTwoOnly) {
  EXPECT_EQ(CheckedSize(33).aligned_to(32).value(), 64U);
  EXPECT_EQ(CheckedSize(32).aligned_to(32).value(), 32U);
  EXPECT_THROW(CheckedSize(32).aligned_to(0), Error);
  EXPECT_THROW(CheckedSize(32).aligned_to(48), Error);
  EXPECT_THROW(CheckedSize(kMaximum).aligned_to(32), Error);
}

}  // namespace
}  // namespace tessera
