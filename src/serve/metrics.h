// Counters for operators, in Prometheus' text format (version 0.0.4).
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"

namespace tessera::serve {

// Seconds in cumulative buckets.
class Histogram {
 public:
  // `bounds`: ascending; must outlive the histogram.
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}

  void observe(double seconds);
  // "NAME_bucket{le="0.01"} 3" and so on; `name` without suffix.
  std::string text(std::string_view name) const;

 private:
  std::span<const double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

struct Gauge {
  std::string_view name;
  std::string_view help;
  double value = 0;
  bool counts_up = false;  // a counter: only ever grows
};

// Thread-safe. Own code because the library of Debian brings a web server of its own along.
class Metrics {
 public:
  Metrics();

  void count_request(std::string_view path, int status, double seconds);
  void count_first_token(double seconds);
  void count_token_gap(double seconds);
  // An answer that is over, whether it was made or cancelled: how long it waited, if its turn came.
  void count_queue(const engine::GenerationResult& result);
  // A request whose answers are all made.
  void count_generation(double seconds, const engine::Usage& usage);
  // Everything, with `gauges` as they stand now.
  std::string text(std::span<const Gauge> gauges) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  Histogram request_seconds_;
  Histogram queue_seconds_;
  Histogram first_token_seconds_;
  Histogram token_gap_seconds_;
  Histogram generation_seconds_;
  std::uint64_t prompt_tokens_ = 0;
  std::uint64_t cached_tokens_ = 0;
  std::uint64_t completion_tokens_ = 0;
};

}  // namespace tessera::serve
