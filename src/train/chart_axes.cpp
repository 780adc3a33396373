#include "train/chart_axes.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace tessera::train {

void Axis::include(double value) {
  if (!shows(value)) return;
  low = std::min(low, value);
  high = std::max(high, value);
}

double Axis::place(double value) const {
  if (logarithmic) return std::log(value / low) / std::log(high / low);
  return (value - low) / (high - low);
}

void Axis::widen() {
  if (logarithmic) {
    const double ratio = high > low ? std::pow(high / low, 0.04) : 1.5;
    low /= ratio;
    high *= ratio;
    return;
  }
  const double room = high > low ? 0.04 * (high - low) : std::max(1e-12, std::abs(high) * 0.1);
  low -= room;
  high += room;
}

Axes axes_of(std::span<const ChartLine> lines, bool logarithmic) {
  Axes axes;
  axes.y.logarithmic = logarithmic;
  for (const ChartLine& line : lines) {
    for (std::size_t i = 0; i < line.curve.x.size(); ++i) {
      if (!axes.y.shows(line.curve.y[i])) continue;
      axes.x.include(line.curve.x[i]);
      axes.y.include(line.curve.y[i]);
    }
  }
  if (axes.x.low > axes.x.high) {
    fail(ErrorKind::bad_usage, "chart: expected values to draw, found none{}",
         logarithmic ? " above zero, which a logarithmic axis needs" : "");
  }
  if (axes.x.low == axes.x.high) axes.x.high = axes.x.low + 1;
  axes.y.widen();
  return axes;
}

Curve thinned(const Curve& curve, const Axes& axes, std::int64_t columns) {
  Curve kept{curve.name, {}, {}};
  if (static_cast<std::int64_t>(curve.x.size()) <= 2 * columns) return curve;
  const auto column = [&](std::size_t i) {
    return static_cast<std::int64_t>(axes.x.place(curve.x[i]) * static_cast<double>(columns - 1));
  };
  for (std::size_t i = 0; i < curve.x.size();) {
    std::size_t least = i;
    std::size_t largest = i;
    std::size_t end = i;
    for (; end < curve.x.size() && column(end) == column(i); ++end) {
      if (curve.y[end] < curve.y[least]) least = end;
      if (curve.y[end] > curve.y[largest]) largest = end;
    }
    for (const std::size_t index : {std::min(least, largest), std::max(least, largest)}) {
      if (!kept.x.empty() && kept.x.back() == curve.x[index]) continue;
      kept.x.push_back(curve.x[index]);
      kept.y.push_back(curve.y[index]);
    }
    i = end;
  }
  return kept;
}

std::string label_of(double value) {
  const double magnitude = std::abs(value);
  if (magnitude >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (magnitude >= 1e4) return fmt::format("{:.4g}k", value / 1e3);
  if (magnitude > 0 && magnitude < 1e-3) return fmt::format("{:.0e}", value);
  return fmt::format("{:.5g}", std::abs(value) < 1e-12 ? 0.0 : value);
}

std::vector<double> chart_ticks(double low, double high, int most, bool logarithmic) {
  std::vector<double> ticks;
  if (!(high > low) || most < 1) return ticks;
  if (logarithmic && low > 0 && high / low >= 4) {
    const bool few = std::log10(high / low) <= 2;
    for (double power = std::pow(10.0, std::floor(std::log10(low))); power <= high; power *= 10) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        if ((factor == 1.0 || few) && power * factor >= low && power * factor <= high)
          ticks.push_back(power * factor);
      }
    }
    return ticks;
  }
  const double rough = (high - low) / most;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) {
      step = factor * power;
      break;
    }
  }
  for (double n = std::ceil(low / step - 1e-9); n * step <= high + 1e-9 * step; ++n)
    ticks.push_back(n * step);
  return ticks;
}

}  // namespace tessera::train
