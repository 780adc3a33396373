// Where the values of a chart lie, and how numbers and colours are written; for the .cpp files of the charts.
#pragma once
#include <limits>
#include <string>

#include "train/curve_chart.h"

namespace tessera::train {

// An axis: which values it shows, and where.
struct Axis {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  bool logarithmic = false;

  bool shows(double value) const { return !logarithmic || value > 0; }
  void include(double value);
  // From 0 (low) to 1 (high).
  double place(double value) const;
  // A little room above and below; a single value gets some of its own.
  void widen();
};

struct Axes {
  Axis x;
  Axis y;
};

// The axes that hold all lines. Error bad_usage when nothing can be shown.
Axes axes_of(std::span<const ChartLine> lines, bool logarithmic);

// What is drawn of a curve: all of it, or of each of `columns` slices its least and its largest value.
Curve thinned(const Curve& curve, const Axes& axes, std::int64_t columns);

// A number as a label: 1.5, 12k, 3e-04.
std::string label_of(double value);

constexpr int kChartColors = 6;
inline std::size_t color_index(int color) {
  return static_cast<std::size_t>((color % kChartColors + kChartColors) % kChartColors);
}

}  // namespace tessera::train
