#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "train/chart_axes.h"

namespace tessera::train {
namespace {

constexpr int kAnsiColors[] = {34, 33, 32, 35, 93, 36};

// Dots of a terminal chart: 2 x 4 a character, each with the colour of the line that came last.
class Canvas {
 public:
  Canvas(int columns, int rows)
      : columns_(columns),
        rows_(rows),
        dots_(static_cast<std::size_t>(columns * rows)),
        colors_(dots_.size(), -1) {}

  void dot(int x, int y, int color) {
    if (x < 0 || y < 0 || x >= 2 * columns_ || y >= 4 * rows_) return;
    // Unicode 15, Braille Patterns: dots 1 2 3 7 on the left, 4 5 6 8 on the right.
    constexpr unsigned char kBits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    const auto cell = static_cast<std::size_t>(y / 4 * columns_ + x / 2);
    dots_[cell] = static_cast<unsigned char>(dots_[cell] | kBits[y % 4][x % 2]);
    colors_[cell] = color;
  }
  void segment(double x0, double y0, double x1, double y1, int color) {
    const int steps =
        std::max(1, static_cast<int>(std::ceil(std::max(std::abs(x1 - x0), std::abs(y1 - y0)))));
    for (int i = 0; i <= steps; ++i) {
      const double share = static_cast<double>(i) / steps;
      dot(static_cast<int>(std::lround(x0 + share * (x1 - x0))),
          static_cast<int>(std::lround(y0 + share * (y1 - y0))), color);
    }
  }
  std::string row(int y, bool with_color) const {
    std::string text;
    for (int x = 0; x < columns_; ++x) {
      const auto cell = static_cast<std::size_t>(y * columns_ + x);
      const unsigned pattern = dots_[cell];
      if (pattern == 0) {
        text += ' ';
        continue;
      }
      if (with_color) text += fmt::format("\x1b[{}m", kAnsiColors[color_index(colors_[cell])]);
      text += '\xe2';
      text += static_cast<char>(0xa0 | (pattern >> 6));
      text += static_cast<char>(0x80 | (pattern & 0x3f));
      if (with_color) text += "\x1b[0m";
    }
    return text;
  }

 private:
  int columns_;
  int rows_;
  std::vector<unsigned char> dots_;
  std::vector<int> colors_;
};

void draw_on_canvas(Canvas& canvas, const ChartLine& line, const Axes& axes, int columns, int rows) {
  const Curve curve = thinned(line.curve, axes, columns);
  double last_x = 0;
  double last_y = 0;
  bool first = true;
  for (std::size_t i = 0; i < curve.x.size(); ++i) {
    if (!axes.y.shows(curve.y[i])) continue;
    const double x = axes.x.place(curve.x[i]) * (2 * columns - 1);
    const double y = (1 - axes.y.place(curve.y[i])) * (4 * rows - 1);
    canvas.segment(first ? x : last_x, first ? y : last_y, x, y, line.color);
    last_x = x;
    last_y = y;
    first = false;
  }
}

}  // namespace

std::string text_chart(std::span<const ChartLine> lines, const ChartOptions& options, bool color) {
  const Axes axes = axes_of(lines, options.logarithmic);
  constexpr int kLabelWidth = 8;
  const int columns = std::max(10, options.width - kLabelWidth - 2);
  const int rows = std::max(3, options.height);
  Canvas canvas(columns, rows);
  for (const ChartLine& line : lines) {
    if (!line.faint) draw_on_canvas(canvas, line, axes, columns, rows);
  }
  std::vector<std::string> labels(static_cast<std::size_t>(rows));
  for (const double tick : chart_ticks(axes.y.low, axes.y.high, std::max(2, rows / 3), options.logarithmic)) {
    const auto row = static_cast<std::size_t>(std::lround((1 - axes.y.place(tick)) * (rows - 1)));
    if (row < labels.size()) labels[row] = label_of(tick);
  }
  std::string text = options.title.empty() ? "" : options.title + "\n";
  for (int row = 0; row < rows; ++row) {
    text += fmt::format("{:>{}} \xe2\x94\x82{}\n", labels[static_cast<std::size_t>(row)], kLabelWidth,
                        canvas.row(row, color));
  }
  const std::string first = label_of(axes.x.low);
  const std::string last = fmt::format("{} {}", options.x_label, label_of(axes.x.high));
  text += fmt::format("{:>{}} \xe2\x94\x94{}{:>{}}\n", "", kLabelWidth, first, last,
                      std::max<std::size_t>(last.size(), static_cast<std::size_t>(columns) - first.size()));
  for (const ChartLine& line : lines) {
    if (line.faint || line.curve.y.empty()) continue;
    const std::string mark =
        color ? fmt::format("\x1b[{}m\xe2\xa0\xa4\xe2\xa0\xa4\x1b[0m", kAnsiColors[color_index(line.color)])
              : "\xe2\xa0\xa4\xe2\xa0\xa4";
    text += fmt::format("{:>{}}  {} {} {}\n", "", kLabelWidth, mark, line.curve.name,
                        label_of(line.curve.y.back()));
  }
  return text;
}

}  // namespace tessera::train
