#include "train/metrics_file.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"

namespace tessera::train {
namespace {

using Json = nlohmann::ordered_json;

std::string metrics_path(const std::string& run) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(run, ignored)) return run;
  return (std::filesystem::path(run) / "metrics.jsonl").string();
}

Json parse_line(std::string_view line, const std::string& path, std::int64_t number) {
  const auto shallow = [](int depth, Json::parse_event_t, Json&) { return depth < 8; };
  Json entry = Json::parse(line, shallow, false);
  if (!entry.is_object() || !entry.contains("step") || !entry["step"].is_number()) {
    fail(ErrorKind::bad_input, "{}: line {}: expected a JSON object with a number \"step\", found '{}'", path,
         number, printable(std::string(line.substr(0, 60))));
  }
  return entry;
}

// Values by step, so that a later line replaces an earlier one of the same step.
struct Series {
  std::string name;
  std::map<double, double> values;
};

void take_line(const Json& entry, std::vector<Series>& all) {
  const auto step = entry["step"].get<double>();
  for (const auto& [key, value] : entry.items()) {
    if (key == "step" || !value.is_number()) continue;
    const auto number = value.get<double>();
    if (!std::isfinite(number)) continue;
    auto found = std::find_if(all.begin(), all.end(), [&](const Series& s) { return s.name == key; });
    if (found == all.end()) found = all.insert(all.end(), Series{key, {}});
    found->values[step] = number;
  }
}

}  // namespace

std::vector<Curve> read_metrics(const std::string& run) {
  const std::string path = metrics_path(run);
  const auto file = MappedFile::open(path);
  std::string_view text = file->text();
  std::vector<Series> all;
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) break;  // still being written
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (!line.empty()) take_line(parse_line(line, path, number), all);
  }
  std::vector<Curve> curves;
  for (const Series& series : all) {
    Curve curve{series.name, {}, {}};
    for (const auto& [x, y] : series.values) {
      curve.x.push_back(x);
      curve.y.push_back(y);
    }
    curves.push_back(std::move(curve));
  }
  return curves;
}

const Curve* find_curve(const std::vector<Curve>& curves, std::string_view name) {
  const auto found =
      std::find_if(curves.begin(), curves.end(), [&](const Curve& c) { return c.name == name; });
  return found == curves.end() ? nullptr : &*found;
}

Curve smoothed(const Curve& curve, double factor) {
  Curve result = curve;
  double sum = 0;
  double weight = 0;
  for (double& y : result.y) {
    sum = factor * sum + (1 - factor) * y;
    weight = factor * weight + (1 - factor);
    y = sum / weight;
  }
  return result;
}

}  // namespace tessera::train
