#include "train/learning_rate.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace tessera::train {
namespace {

LearningRateSchedule schedule(ScheduleKind kind) {
  return {
      .kind = kind, .peak = 1.0, .minimum = 0.1, .warmup_steps = 9, .total_steps = 109, .decay_steps = 20};
}

TEST(LearningRate, WarmsUpInAStraightLine) {
  for (const ScheduleKind kind : {ScheduleKind::constant, ScheduleKind::cosine, ScheduleKind::linear,
                                  ScheduleKind::inverse_sqrt, ScheduleKind::wsd}) {
    EXPECT_DOUBLE_EQ(schedule(kind).at(0), 0.1);
    EXPECT_DOUBLE_EQ(schedule(kind).at(4), 0.5);
    EXPECT_DOUBLE_EQ(schedule(kind).at(9), 1.0);
  }
}

TEST(LearningRate, FallsAsItsNameSays) {
  EXPECT_DOUBLE_EQ(schedule(ScheduleKind::constant).at(1000), 1.0);
  EXPECT_DOUBLE_EQ(schedule(ScheduleKind::cosine).at(59), 0.55);  // half-way
  EXPECT_DOUBLE_EQ(schedule(ScheduleKind::cosine).at(109), 0.1);
  EXPECT_DOUBLE_EQ(schedule(ScheduleKind::cosine).at(500), 0.1);
  EXPECT_NEAR(schedule(ScheduleKind::linear).at(34), 0.775, 1e-12);
  EXPECT_DOUBLE_EQ(schedule(ScheduleKind::linear).at(200), 0.1);
  EXPECT_DOUBLE_EQ(schedule(ScheduleKind::inverse_sqrt).at(36), 0.5);
  EXPECT_DOUBLE_EQ(schedule(ScheduleKind::inverse_sqrt).at(90000), 0.1);
  EXPECT_DOUBLE_EQ(schedule(ScheduleKind::wsd).at(89), 1.0);
  EXPECT_DOUBLE_EQ(schedule(ScheduleKind::wsd).at(99), 0.55);
  EXPECT_DOUBLE_EQ(schedule(ScheduleKind::wsd).at(109), 0.1);
}

TEST(LearningRate, NamesAreChecked) {
  EXPECT_EQ(schedule_from_name("inverse-sqrt"), ScheduleKind::inverse_sqrt);
  EXPECT_THROW(schedule_from_name("cosinus"), Error);
}

}  // namespace
}  // namespace tessera::train
