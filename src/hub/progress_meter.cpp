#include "hub/progress_meter.h"

#include <algorithm>

namespace tessera::hub {
namespace {

constexpr auto kWindow = std::chrono::seconds(4);
constexpr auto kBetweenReports = std::chrono::milliseconds(100);

}  // namespace

ProgressMeter::ProgressMeter(ProgressSink sink, std::string stage, std::string subject, std::uint64_t total,
                             std::uint64_t already)
    : sink_(std::move(sink)), begin_(Clock::now()) {
  progress_.stage = std::move(stage);
  progress_.subject = std::move(subject);
  progress_.total = total;
  progress_.done = already;
  samples_.emplace_back(begin_, 0);
}

void ProgressMeter::advance(std::uint64_t bytes) {
  progress_.done += bytes;
  received_ += bytes;
  report(false);
}

void ProgressMeter::retreat(std::uint64_t bytes) { progress_.done -= std::min(progress_.done, bytes); }

void ProgressMeter::tick() { report(false); }

void ProgressMeter::finish() {
  progress_.finished = true;
  report(true);
}

void ProgressMeter::report(bool always) {
  const auto now = Clock::now();
  if (!always && now - last_report_ < kBetweenReports) return;
  last_report_ = now;
  samples_.emplace_back(now, received_);
  while (samples_.size() > 2 && now - samples_.front().first > kWindow) samples_.pop_front();
  const std::chrono::duration<double> span = now - (always ? begin_ : samples_.front().first);
  const std::uint64_t since = received_ - (always ? 0 : samples_.front().second);
  progress_.per_second = span.count() > 0 ? static_cast<double>(since) / span.count() : 0;
  progress_.seconds = std::chrono::duration<double>(now - begin_).count();
  if (sink_) sink_(progress_);
}

}  // namespace tessera::hub
