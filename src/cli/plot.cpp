// `tessera plot`: the curves of training runs, in the terminal and as an SVG picture.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "base/atomic_file.h"
#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "train/curve_chart.h"

namespace tessera::cli {
namespace {

constexpr int kChartRows = 16;
constexpr std::size_t kFewPoints = 40;

struct PlotFlags {
  std::vector<std::string> runs;
  std::string metric = "loss";
  std::string output;
  std::string title;
  double smooth = 0.9;
  bool logarithmic = false;
};

// What a run is called in the legend when there are several: its folder.
std::string run_name(const std::string& run) {
  std::filesystem::path path = std::filesystem::path(run).lexically_normal();
  if (path.filename() == "metrics.jsonl") path = path.parent_path();
  if (path.filename().empty()) path = path.parent_path();
  return path.filename().empty() ? run : path.filename().string();
}

std::string known_names(const std::vector<train::Curve>& curves) {
  std::string names;
  for (const train::Curve& curve : curves) names += (names.empty() ? "" : ", ") + curve.name;
  return names.empty() ? "none" : names;
}

// The metric, faint as measured and bold when smoothed, and what was measured beside it on the validation
// split.
void add_run(const PlotFlags& flags, const std::string& run, int& color,
             std::vector<train::ChartLine>& lines) {
  const std::vector<train::Curve> curves = train::read_metrics(run);
  const train::Curve* curve = train::find_curve(curves, flags.metric);
  if (curve == nullptr) {
    fail(ErrorKind::bad_usage, "{}: expected the metric '{}' in it, found {}", run, printable(flags.metric),
         known_names(curves));
  }
  const auto add = [&](train::Curve drawn, bool faint, bool points) {
    if (flags.runs.size() > 1) drawn.name = run_name(run) + ": " + drawn.name;
    lines.push_back({std::move(drawn), color, faint, points});
  };
  const bool smooth = flags.smooth > 0 && curve->x.size() > kFewPoints;
  if (smooth) add(*curve, true, false);
  add(smooth ? train::smoothed(*curve, flags.smooth) : *curve, false, !smooth);
  ++color;
  const train::Curve* validation = train::find_curve(curves, "validation_" + flags.metric);
  if (validation == nullptr) return;
  add(*validation, false, true);
  ++color;
}

void plot(const PlotFlags& flags) {
  if (!(flags.smooth >= 0 && flags.smooth < 1)) {
    fail(ErrorKind::bad_usage, "--smooth: expected 0 up to but not 1, found {}", flags.smooth);
  }
  std::vector<train::ChartLine> lines;
  int color = 0;
  for (const std::string& run : flags.runs) add_run(flags, run, color, lines);
  train::ChartOptions options{
      .title = flags.title, .y_label = flags.metric, .logarithmic = flags.logarithmic};
  if (!flags.output.empty()) {
    write_file_atomically(flags.output, train::svg_chart(lines, options));
    fmt::print("{}\n", flags.output);
    return;
  }
  options.width = terminal_width(STDOUT_FILENO);
  options.height = kChartRows;
  fmt::print("{}", train::text_chart(lines, options, use_color(STDOUT_FILENO)));
}

}  // namespace

void define_plot(CLI::App& app) {
  const auto flags = std::make_shared<PlotFlags>();
  app.add_option("run", flags->runs, "folders of training runs, or their metrics.jsonl")->required();
  add_option(app, "--metric", flags->metric,
             "what to draw: loss, learning_rate, gradient_norm, tokens_per_second, ...");
  app.add_option("-o,--output", flags->output, "write an SVG picture instead of drawing in the terminal")
      ->envname(environment_name("--output"));
  app.add_option("--title", flags->title, "above the curves")->envname(environment_name("--title"));
  add_option(app, "--smooth", flags->smooth,
             "weight of what came before in the bold line, 0 to 1; 0: as measured");
  add_flag(app, "--log", flags->logarithmic, "logarithmic axis");
  app.footer(
      "\nDraws the metric over the steps, and what was measured on the validation split beside it. A run "
      "that is "
      "still going\non can be drawn at any time; several runs are compared.\n\nExamples:\n  tessera plot "
      "runs/first\n"
      "  tessera plot runs/first runs/second --log -o curves.svg\n");
  app.callback([flags] { plot(*flags); });
}

}  // namespace tessera::cli
