#include "train/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace tessera::train {

ScheduleKind schedule_from_name(std::string_view name) {
  if (name == "constant") return ScheduleKind::constant;
  if (name == "cosine") return ScheduleKind::cosine;
  if (name == "linear") return ScheduleKind::linear;
  if (name == "inverse-sqrt") return ScheduleKind::inverse_sqrt;
  if (name == "wsd") return ScheduleKind::wsd;
  fail(ErrorKind::bad_usage, "schedule: expected constant, cosine, linear, inverse-sqrt or wsd, found '{}'",
       printable(name));
}

double LearningRateSchedule::at(std::int64_t step) const {
  const auto now = static_cast<double>(step);
  const auto warm = static_cast<double>(warmup_steps);
  if (step < warmup_steps) return peak * (now + 1.0) / (warm + 1.0);
  const auto total = static_cast<double>(total_steps);
  const double done = total > warm ? std::min(1.0, (now - warm) / (total - warm)) : 1.0;
  switch (kind) {
    case ScheduleKind::cosine:
      return minimum + 0.5 * (1.0 + std::cos(std::numbers::pi * done)) * (peak - minimum);
    case ScheduleKind::linear:
      return peak + done * (minimum - peak);
    case ScheduleKind::inverse_sqrt:
      return std::max(minimum, peak * std::sqrt(std::max(1.0, warm) / std::max(1.0, now)));
    case ScheduleKind::wsd: {
      const double decay = decay_steps > 0 ? static_cast<double>(decay_steps) : std::max(1.0, total / 10.0);
      const double fallen = std::clamp((now - (total - decay)) / decay, 0.0, 1.0);
      return peak + fallen * (minimum - peak);
    }
    default:
      return peak;
  }
}

}  // namespace tessera::train
