// Charts of curves: as an SVG picture, and in characters for a terminal.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "train/metrics_file.h"

namespace tessera::train {

// A line of a chart. A faint one lies behind the others and has no entry in the legend.
struct ChartLine {
  Curve curve;
  int color = 0;  // lines with the same number have the same colour
  bool faint = false;
  bool points = false;  // a dot at each value: for few of them
};

struct ChartOptions {
  std::string title = {};
  std::string x_label = "step";
  std::string y_label = {};
  bool logarithmic = false;  // of y; values that are not positive are left out
  int width = 800;           // SVG: units of the picture; text: columns of the terminal
  int height = 420;          // likewise: rows
};

// Round numbers (1, 2 or 5 times a power of ten) that divide [low, high] into at most `most` steps; on a
// logarithmic axis powers of ten, and their doubles and fivefolds where they are few.
std::vector<double> chart_ticks(double low, double high, int most, bool logarithmic = false);

// A whole SVG file that needs nothing else and suits light and dark backgrounds. No script; text is escaped.
// Long curves are drawn with at most two points for each unit of width, their least and their largest. Error
// bad_usage when there is no value to draw.
std::string svg_chart(std::span<const ChartLine> lines, const ChartOptions& options);

// The same in Braille patterns (2 x 4 dots a character), with axes and, with `color`, ANSI colours. Faint
// lines are left out.
std::string text_chart(std::span<const ChartLine> lines, const ChartOptions& options, bool color);

}  // namespace tessera::train
