// The learning rate of every step.
#pragma once
#include <cstdint>
#include <string_view>

namespace tessera::train {

// After a linear warm-up to the peak:
//   constant      stays there
//   cosine        half a cosine down to the minimum at total_steps (Loshchilov & Hutter 2017)
//   linear        a straight line down to it
//   inverse_sqrt  peak sqrt(warmup / step) (Vaswani et al. 2017), never below the minimum
//   wsd           stays, and falls in a straight line over the last decay_steps (Hu et al. 2024)
enum class ScheduleKind { constant, cosine, linear, inverse_sqrt, wsd };
// Error bad_usage naming all of them.
ScheduleKind schedule_from_name(std::string_view name);

struct LearningRateSchedule {
  ScheduleKind kind = ScheduleKind::cosine;
  double peak = 1e-3;
  double minimum = 1e-4;
  std::int64_t warmup_steps = 100;
  std::int64_t total_steps = 2000;
  std::int64_t decay_steps = 0;  // wsd; 0: a tenth of total_steps

  // Of step `step`, counted from 0: the warm-up takes peak (step + 1) / (warmup_steps + 1).
  double at(std::int64_t step) const;
};

}  // namespace tessera::train
