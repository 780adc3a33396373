#include "engine/stop_matcher.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace tessera::engine {
namespace {

constexpr std::size_t kMostStopBytes = 64 * 1024;

// Length of the longest end of `text` that is a beginning of `stop`, but not all of it.
std::size_t open_suffix(std::string_view text, std::string_view stop) {
  for (std::size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.substr(text.size() - length) == stop.substr(0, length)) return length;
  }
  return 0;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::size_t bytes = 0;
  for (const std::string& stop : stops_) {
    if (stop.empty()) fail(ErrorKind::bad_usage, "stop: expected a text, found an empty one");
    bytes += stop.size();
  }
  if (bytes > kMostStopBytes) {
    fail(ErrorKind::bad_usage, "stop: expected at most {} bytes in all, found {}", kMostStopBytes, bytes);
  }
}

std::string StopMatcher::push(std::string_view text) {
  if (matched_) return {};
  if (stops_.empty()) return std::string(text);
  held_ += text;
  std::size_t earliest_end = std::string::npos;
  const std::string* found = nullptr;
  std::size_t open = 0;
  for (const std::string& stop : stops_) {
    open = std::max(open, open_suffix(held_, stop));
    const std::size_t begin = held_.find(stop);
    if (begin == std::string::npos) continue;
    const std::size_t end = begin + stop.size();
    if (end < earliest_end || (end == earliest_end && stop.size() > found->size())) {
      earliest_end = end;
      found = &stop;
    }
  }
  if (found != nullptr) matched_ = *found;
  const std::size_t certain = found != nullptr ? earliest_end - found->size() : held_.size() - open;
  std::string out = held_.substr(0, certain);
  held_.erase(0, certain);
  return out;
}

std::string StopMatcher::finish() {
  if (matched_) return {};
  return std::exchange(held_, {});
}

}  // namespace tessera::engine
