#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "train/chart_axes.h"

namespace tessera::train {
namespace {

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return result;
}

// Colours that people with any colour vision tell apart (Okabe & Ito 2008), readable on light and dark.
constexpr const char* kColors[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};

// The inner rectangle of the picture.
struct Frame {
  double left = 64;
  double top = 40;
  double right = 0;
  double bottom = 0;
  double x(double place) const { return left + place * (right - left); }
  double y(double place) const { return bottom - place * (bottom - top); }
};

void draw_axes(std::string& svg, const Axes& axes, const Frame& frame, const ChartOptions& options) {
  for (const double tick : chart_ticks(axes.y.low, axes.y.high, 7, options.logarithmic)) {
    const double y = frame.y(axes.y.place(tick));
    svg += fmt::format("<path class=\"grid\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>", frame.left, y, frame.right);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", frame.left - 8,
                       y + 4, label_of(tick));
  }
  for (const double tick : chart_ticks(axes.x.low, axes.x.high, 8)) {
    const double x = frame.x(axes.x.place(tick));
    svg += fmt::format("<path class=\"grid\" d=\"M{:.1f} {:.1f}v5\"/>", x, frame.bottom);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", x,
                       frame.bottom + 20, label_of(tick));
  }
  svg += fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>\n", frame.left, frame.bottom,
                     frame.right);
  svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", frame.right,
                     frame.bottom + 38, escaped(options.x_label));
  svg += fmt::format("<text x=\"8\" y=\"{:.1f}\">{}</text>\n", frame.top - 12, escaped(options.y_label));
}

void draw_line(std::string& svg, const ChartLine& line, const Axes& axes, const Frame& frame) {
  const Curve curve = thinned(line.curve, axes, static_cast<std::int64_t>(frame.right - frame.left));
  const char* color = kColors[color_index(line.color)];
  std::string path;
  std::string dots;
  for (std::size_t i = 0; i < curve.x.size(); ++i) {
    if (!axes.y.shows(curve.y[i])) continue;
    const double x = frame.x(axes.x.place(curve.x[i]));
    const double y = frame.y(axes.y.place(curve.y[i]));
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x, y);
    if (line.points)
      dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>", x, y, color);
  }
  svg += fmt::format("<path class=\"{}\" stroke=\"{}\" d=\"{}\"/>{}\n", line.faint ? "faint" : "line", color,
                     path, dots);
}

void draw_legend(std::string& svg, std::span<const ChartLine> lines, const Frame& frame) {
  double y = frame.top + 14;
  for (const ChartLine& line : lines) {
    if (line.faint) continue;
    const std::string label = line.curve.y.empty()
                                  ? line.curve.name
                                  : fmt::format("{} {}", line.curve.name, label_of(line.curve.y.back()));
    svg += fmt::format("<path class=\"line\" stroke=\"{}\" d=\"M{:.1f} {:.1f}h18\"/>",
                       kColors[color_index(line.color)], frame.right - 20, y - 4);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", frame.right - 28, y,
                       escaped(label));
    y += 18;
  }
}

constexpr const char* kStyle =
    "<style>text{font:12px "
    "sans-serif;fill:#57534a}.title{font-size:15px;font-weight:600}.grid{stroke:#8884;fill:none}"
    ".axis{stroke:#888;fill:none}.line{fill:none;stroke-width:2;stroke-linejoin:round}.faint{fill:none;"
    "stroke-width:1;"
    "opacity:.3}@media(prefers-color-scheme:dark){text{fill:#c9c4b8}}</style>\n";

}  // namespace

std::string svg_chart(std::span<const ChartLine> lines, const ChartOptions& options) {
  const Axes axes = axes_of(lines, options.logarithmic);
  Frame frame;
  frame.right = options.width - 20;
  frame.bottom = options.height - 50;
  std::string svg = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\">\n{}",
                                options.width, options.height, kStyle);
  svg += fmt::format("<text class=\"title\" x=\"{}\" y=\"20\" text-anchor=\"middle\">{}</text>\n",
                     options.width / 2, escaped(options.title));
  draw_axes(svg, axes, frame, options);
  for (const bool faint : {true, false}) {
    for (const ChartLine& line : lines) {
      if (line.faint == faint) draw_line(svg, line, axes, frame);
    }
  }
  draw_legend(svg, lines, frame);
  return svg + "</svg>\n";
}

}  // namespace tessera::train
