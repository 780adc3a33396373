// Counters for operators, in Prometheus' text format (version 0.0.4).
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace tessera::serve {

// Seconds in cumulative buckets.
class Histogram {
 public:
  void observe(double seconds);
  // "NAME_bucket{le="0.01"} 3" and so on; `name` without suffix.
  std::string text(std::string_view name) const;

 private:
  static constexpr std::array kBounds = {0.005, 0.01, 0.025, 0.05, 0.1,  0.25, 0.5,
                                         1.0,   2.5,  5.0,   10.0, 30.0, 60.0, 120.0};
  std::array<std::uint64_t, kBounds.size() + 1> counts_{};
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
  void count_request(std::string_view path, int status, double seconds);
  void count_generation(double seconds_to_first_token, double seconds, std::int64_t prompt_tokens,
                        std::int64_t cached_tokens, std::int64_t completion_tokens);
  // Everything, with `gauges` as they stand now.
  std::string text(std::span<const Gauge> gauges) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  Histogram request_seconds_;
  Histogram first_token_seconds_;
  Histogram generation_seconds_;
  std::uint64_t prompt_tokens_ = 0;
  std::uint64_t cached_tokens_ = 0;
  std::uint64_t completion_tokens_ = 0;
};

}  // namespace tessera::serve
