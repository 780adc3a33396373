// Finds stop strings in streamed text, across the borders of its pieces, and holds back what could still
// become one.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::engine {

class StopMatcher {
 public:
  // Error bad_usage: an empty stop string, or more than 64 KB of them.
  explicit StopMatcher(std::vector<std::string> stops);

  // Adds text; returns what is now certain to come before any stop string. After a match returns nothing
  // more.
  std::string push(std::string_view text);
  // The text ends here: what was held back.
  std::string finish();
  // The stop string that was complete first, reading byte by byte; of several that end together, the longest.
  const std::optional<std::string>& matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  std::optional<std::string> matched_;
};

}  // namespace tessera::engine
