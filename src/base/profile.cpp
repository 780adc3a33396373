#include "base/profile.h"

#include <algorithm>
#include <utility>

namespace tessera {
namespace {

// One profile a thread, so that operations need no further argument; null but within a ProfileScope.
thread_local Profile* installed = nullptr;
thread_local ProfileTimer* running = nullptr;

}  // namespace

void Profile::add(std::string_view operation, double seconds) {
  auto found = totals_.find(operation);
  if (found == totals_.end()) found = totals_.emplace(operation, Total{}).first;
  ++found->second.calls;
  found->second.seconds += seconds;
}

std::vector<ProfileEntry> Profile::entries() const {
  std::vector<ProfileEntry> entries;
  entries.reserve(totals_.size());
  for (const auto& [operation, total] : totals_) entries.push_back({operation, total.calls, total.seconds});
  std::ranges::stable_sort(entries, std::ranges::greater{}, &ProfileEntry::seconds);
  return entries;
}

double Profile::seconds() const {
  double sum = 0;
  for (const auto& [operation, total] : totals_) sum += total.seconds;
  return sum;
}

ProfileScope::ProfileScope(Profile& profile) : outer_(std::exchange(installed, &profile)) {}
ProfileScope::~ProfileScope() { installed = outer_; }

Profile* ProfileTimer::active() { return installed; }

void ProfileTimer::start(std::string operation) {
  profile_ = installed;
  outer_ = std::exchange(running, this);
  operation_ = std::move(operation);
  begin_ = std::chrono::steady_clock::now();
}

void ProfileTimer::stop() {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin_;
  running = outer_;
  if (outer_ != nullptr) outer_->inner_seconds_ += elapsed.count();
  profile_->add(operation_, elapsed.count() - inner_seconds_);
}

}  // namespace tessera
