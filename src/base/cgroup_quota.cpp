#include "base/cgroup_quota.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

namespace tessera {
namespace {

namespace fs = std::filesystem;

std::optional<double> positive_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value > 0)) return std::nullopt;
  return value;
}

// "150000 100000" is one and a half CPUs, "max 100000" no limit.
std::optional<double> quota_of(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  std::string quota;
  std::string period;
  if (!(file >> quota >> period)) return std::nullopt;
  const auto allowed = positive_number(quota);
  const auto of = positive_number(period);
  if (!allowed || !of) return std::nullopt;
  return *allowed / *of;
}

std::string group_of_process(const fs::path& membership) {
  std::ifstream file(membership);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::/")) return line.substr(4);
  }
  return {};
}

}  // namespace

std::optional<double> cgroup_cpu_quota(const fs::path& root, const fs::path& membership) {
  std::optional<double> tightest;
  const auto consider = [&](const fs::path& group) {
    if (const auto quota = quota_of(group)) tightest = std::min(tightest.value_or(*quota), *quota);
  };
  consider(root);  // in a container this is the process's own group
  fs::path group = root;
  for (const fs::path& part : fs::path(group_of_process(membership))) {
    if (part == "..") break;  // a group outside of what is mounted here
    group /= part;
    consider(group);
  }
  return tightest;
}

}  // namespace tessera
