#include "base/near_names.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace tessera {

std::string to_lower_ascii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::size_t edit_distance(std::string_view left, std::string_view right) {
  const std::string a = to_lower_ascii(left);
  const std::string b = to_lower_ascii(right);
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({replaced, cost[i - 1][j] + 1, cost[i][j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

std::vector<std::string> near_names(std::string_view wanted, std::span<const std::string> names,
                                    std::size_t limit) {
  constexpr std::size_t kLongestCompared = 200;  // keeps a hostile argument from costing quadratic time
  if (wanted.empty() || wanted.size() > kLongestCompared) return {};
  const std::string lower = to_lower_ascii(wanted);
  std::vector<std::pair<std::size_t, std::string>> ranked;
  for (const std::string& name : names) {
    if (name.size() > kLongestCompared) continue;
    const std::size_t distance = edit_distance(wanted, name);
    const bool close = distance <= std::max<std::size_t>(1, std::max(wanted.size(), name.size()) / 3);
    const bool contained = lower.size() >= 3 && to_lower_ascii(name).find(lower) != std::string::npos;
    if (close || contained) ranked.emplace_back(distance, name);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> nearest;
  for (auto& [distance, name] : ranked) {
    if (nearest.size() == limit) break;
    nearest.push_back(std::move(name));
  }
  return nearest;
}

}  // namespace tessera
