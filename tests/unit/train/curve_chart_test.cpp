#include "train/curve_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "support/error_of.h"

namespace tessera::train {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::Not;

std::string file_with(const std::string& text) {
  const std::string folder = ::testing::TempDir() + "/metrics_" + std::to_string(::getpid());
  std::filesystem::create_directories(folder);
  write_file_atomically(folder + "/metrics.jsonl", text);
  return folder;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(ReadMetrics, GivesACurveForEachNumber) {
  const std::string run = file_with(
      "{\"step\": 1, \"loss\": 4.5, \"note\": \"text\"}\n\n"
      "{\"step\": 2, \"loss\": 4.25, \"validation_loss\": 4.75}\n"
      "{\"step\": 3, \"loss\": null}\n"
      "{\"step\": 2, \"loss\": 4.0}\n"
      "{\"step\": 4, \"loss\": 3.");  // is being written
  const std::vector<Curve> curves = read_metrics(run);
  ASSERT_EQ(curves.size(), 2U);
  EXPECT_EQ(curves[0].name, "loss");
  EXPECT_THAT(curves[0].x, ElementsAre(1, 2));
  EXPECT_THAT(curves[0].y, ElementsAre(4.5, 4.0));  // the later line of step 2
  ASSERT_NE(find_curve(curves, "validation_loss"), nullptr);
  EXPECT_THAT(find_curve(curves, "validation_loss")->y, ElementsAre(4.75));
  EXPECT_EQ(find_curve(curves, "note"), nullptr);
  EXPECT_EQ(read_metrics(run + "/metrics.jsonl").size(), 2U);
}

TEST(ReadMetrics, NamesFileAndLineOfWhatItCannotRead) {
  const std::string run = file_with("{\"step\": 1, \"loss\": 4}\n{\"loss\": 3}\n");
  EXPECT_THAT(error_of([&] { read_metrics(run); }), HasSubstr("metrics.jsonl: line 2: expected"));
  EXPECT_THAT(error_of([&] { read_metrics(file_with("\x1b[31m\n")); }), Not(HasSubstr("\x1b")));
  EXPECT_THAT(error_of([&] { read_metrics(run + "/none"); }), HasSubstr("/none"));
  const std::string deep = "{\"step\": 1, \"a\": " + std::string(100000, '[') + "\n";
  EXPECT_THAT(error_of([&] { read_metrics(file_with(deep)); }), HasSubstr("line 1: expected"));
}

TEST(Smoothed, IsTheWeightedMeanOfWhatCameBefore) {
  const Curve curve{"loss", {1, 2, 3}, {4, 2, 1}};
  EXPECT_EQ(smoothed(curve, 0).y, curve.y);
  const std::vector<double> y = smoothed(curve, 0.5).y;
  EXPECT_DOUBLE_EQ(y[0], 4);
  EXPECT_DOUBLE_EQ(y[1], (2 + 0.5 * 4) / 1.5);
  EXPECT_DOUBLE_EQ(y[2], (1 + 0.5 * 2 + 0.25 * 4) / 1.75);
}

TEST(ChartTicks, AreRoundAndInside) {
  EXPECT_THAT(chart_ticks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(chart_ticks(1.1, 2.9, 4), ElementsAre(1.5, 2, 2.5));
  EXPECT_THAT(chart_ticks(0.9, 1100, 5, true), ElementsAre(1, 10, 100, 1000));
  EXPECT_THAT(chart_ticks(1, 10, 5, true), ElementsAre(1, 2, 5, 10));
  EXPECT_TRUE(chart_ticks(3, 3, 5).empty());
  for (const double width : {1e-9, 3e-4, 0.7, 12.0, 4e8}) {
    for (int most = 1; most < 12; ++most) {
      const std::vector<double> ticks = chart_ticks(5, 5 + width, most);
      EXPECT_LE(ticks.size(), static_cast<std::size_t>(most) + 1) << width << " " << most;
      for (const double tick : ticks) EXPECT_TRUE(tick >= 5 - 1e-9 * width && tick <= 5 + width * (1 + 1e-9));
    }
  }
}

TEST(SvgChart, EscapesTextAndThinsLongCurves) {
  Curve curve{"a<b>&\"", {}, {}};
  for (int i = 0; i < 100000; ++i) {
    curve.x.push_back(i);
    curve.y.push_back(i == 70123 ? 9.0 : 1.0 + 1e-6 * i);  // one spike that must not get lost
  }
  const ChartLine line{curve, 0, false, false};
  const std::string svg = svg_chart(std::vector{line}, {.title = "<script>"});
  EXPECT_THAT(svg, HasSubstr("a&lt;b&gt;&amp;&quot;"));
  EXPECT_THAT(svg, Not(HasSubstr("<script")));
  EXPECT_LT(svg.size(), 40000U);
  Curve without = curve;
  without.y[70123] = 1;
  const std::string flat = svg_chart(std::vector{ChartLine{without, 0, false, false}}, {.title = "<script>"});
  EXPECT_NE(svg, flat);
  EXPECT_EQ(count(svg, "<svg"), 1U);
  EXPECT_EQ(count(svg, "<path"), count(svg, "/>") - count(svg, "<circle"));
}

TEST(SvgChart, LeavesOutWhatALogarithmicAxisCannotShow) {
  const std::vector<ChartLine> lines = {{{"loss", {1, 2, 3}, {-1, 0, 5}}, 0, false, true}};
  EXPECT_EQ(count(svg_chart(lines, {.logarithmic = true}), "<circle"), 1U);
  const std::vector<ChartLine> none = {{{"loss", {1, 2}, {-1, 0}}, 0, false, true}};
  EXPECT_THAT(error_of([&] { svg_chart(none, {.logarithmic = true}); }), HasSubstr("above zero"));
  EXPECT_THAT(error_of([] { svg_chart({}, {}); }), HasSubstr("found none"));
}

// A falling line: the first column's dots are in the top row, the last one's in the bottom row.
TEST(TextChart, DrawsWhereTheValuesAre) {
  const std::vector<ChartLine> lines = {{{"loss", {0, 100}, {4, 1}}, 0, false, false}};
  const std::string text = text_chart(lines, {.width = 50, .height = 8}, false);
  std::vector<std::string> rows;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    rows.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  ASSERT_EQ(rows.size(), 10U);  // 8 rows, the axis, the legend
  const auto first_dot = [](const std::string& row) { return row.find("\xe2\xa0"); };
  EXPECT_LT(first_dot(rows[0]), 20U);
  EXPECT_GT(first_dot(rows[7]), 30U);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, HasSubstr("loss 1"));
  EXPECT_THAT(text_chart(lines, {.width = 50, .height = 8}, true), HasSubstr("\x1b[34m"));
}

TEST(TextChart, TakesASingleValueAndNarrowTerminals) {
  const std::vector<ChartLine> lines = {{{"loss", {7}, {2.5}}, 0, false, true}};
  EXPECT_THAT(text_chart(lines, {.width = 1, .height = 1}, false), HasSubstr("loss 2.5"));
}

}  // namespace
}  // namespace tessera::train
