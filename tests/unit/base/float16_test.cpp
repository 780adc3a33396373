#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tessera {
namespace {

// Every 16-bit pattern: widening is exact, so narrowing must give the pattern back (NaNs stay NaNs).
TEST(Float16, EveryHalfSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits <= 0xffffU; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float wide = f16_to_f32(half);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(wide))));
    } else {
      ASSERT_EQ(f32_to_f16(wide), half) << wide;
    }
  }
}

TEST(Float16, EveryBfloatSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits <= 0xffffU; ++bits) {
    const auto brain = static_cast<std::uint16_t>(bits);
    const float wide = bf16_to_f32(brain);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(wide))));
    } else {
      ASSERT_EQ(f32_to_bf16(wide), brain) << wide;
    }
  }
}

// Halfway between two neighbours rounds to the even one; anything beyond halfway rounds up.
TEST(Float16, RoundsToNearestEven) {
  for (std::uint16_t half = 0; half < 0x7bff; ++half) {
    const float low = f16_to_f32(half);
    const float high = f16_to_f32(static_cast<std::uint16_t>(half + 1));
    const float middle = low + (high - low) / 2;  // exact in float32
    EXPECT_EQ(f32_to_f16(middle), (half & 1U) != 0 ? half + 1 : half);
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, high)), half + 1);
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, low)), half);
  }
}

TEST(Float16, OverflowAndSpecialValues) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7c00);  // halfway above the largest half, 65504
  EXPECT_EQ(f32_to_f16(65519.99F), 0x7bff);
  EXPECT_EQ(f32_to_f16(-infinity), 0xfc00);
  EXPECT_EQ(f32_to_f16(-0.0F), 0x8000);
  EXPECT_EQ(f32_to_bf16(infinity), 0x7f80);
}

}  // namespace
}  // namespace tessera
