#include "serve/metrics.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace tessera::serve {
namespace {

constexpr std::array kBounds = {0.005, 0.01, 0.025, 0.05, 0.1,  0.25, 0.5,
                                1.0,   2.5,  5.0,   10.0, 30.0, 60.0, 120.0};
// From one token to the next: what a reader sees as flow or as a halt.
constexpr std::array kGapBounds = {0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075,
                                   0.1,   0.15,   0.25,  0.5,  1.0,  2.5,  10.0};

std::string head(std::string_view name, std::string_view help, std::string_view type) {
  return fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
}

std::string counter(std::string_view name, std::string_view help, std::uint64_t value) {
  return head(name, help, "counter") + fmt::format("{} {}\n", name, value);
}

}  // namespace

void Histogram::observe(double seconds) {
  const auto bucket = std::ranges::lower_bound(bounds_, seconds) - bounds_.begin();
  ++counts_.at(static_cast<std::size_t>(bucket));
  sum_ += seconds;
}

std::string Histogram::text(std::string_view name) const {
  std::string text;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    total += counts_.at(i);
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    text += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, bound, total);
  }
  return text + fmt::format("{0}_sum {1}\n{0}_count {2}\n", name, sum_, total);
}

Metrics::Metrics()
    : request_seconds_(kBounds),
      queue_seconds_(kBounds),
      first_token_seconds_(kBounds),
      token_gap_seconds_(kGapBounds),
      generation_seconds_(kBounds) {}

void Metrics::count_request(std::string_view path, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  ++requests_[{std::string(path), status}];
  request_seconds_.observe(seconds);
}

void Metrics::count_first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  first_token_seconds_.observe(seconds);
}

void Metrics::count_token_gap(double seconds) {
  const std::lock_guard lock(mutex_);
  token_gap_seconds_.observe(seconds);
}

void Metrics::count_queue(const engine::GenerationResult& result) {
  if (result.usage.completion_tokens == 0) return;  // its turn may not have come
  const std::lock_guard lock(mutex_);
  queue_seconds_.observe(result.timings.queue_seconds);
}

void Metrics::count_generation(double seconds, const engine::Usage& usage) {
  const std::lock_guard lock(mutex_);
  generation_seconds_.observe(seconds);
  prompt_tokens_ += static_cast<std::uint64_t>(usage.prompt_tokens);
  cached_tokens_ += static_cast<std::uint64_t>(usage.cached_tokens);
  completion_tokens_ += static_cast<std::uint64_t>(usage.completion_tokens);
}

std::string Metrics::text(std::span<const Gauge> gauges) const {
  const std::lock_guard lock(mutex_);
  std::string text =
      head("tessera_http_requests_total", "Answers, by route and status; 0: the client left.", "counter");
  for (const auto& [key, count] : requests_) {
    text += fmt::format("tessera_http_requests_total{{path=\"{}\",status=\"{}\"}} {}\n", key.first,
                        key.second, count);
  }
  text += counter("tessera_prompt_tokens_total", "Tokens of prompts.", prompt_tokens_);
  text += counter("tessera_prompt_tokens_cached_total", "Of those, found in the cache.", cached_tokens_);
  text += counter("tessera_completion_tokens_total", "Tokens generated.", completion_tokens_);
  for (const Gauge& gauge : gauges) {
    text += head(gauge.name, gauge.help, gauge.counts_up ? "counter" : "gauge") +
            fmt::format("{} {}\n", gauge.name, gauge.value);
  }
  const auto add = [&](std::string_view name, std::string_view help, const Histogram& histogram) {
    text += head(name, help, "histogram") + histogram.text(name);
  };
  add("tessera_http_request_seconds", "From the head of a request to the end of its answer.",
      request_seconds_);
  add("tessera_queue_seconds", "From a request to the first pass that works on it.", queue_seconds_);
  add("tessera_time_to_first_token_seconds", "From the request to its first text.", first_token_seconds_);
  add("tessera_token_gap_seconds", "From one piece of an answer's text to the next.", token_gap_seconds_);
  add("tessera_generation_seconds", "From the request to its last token.", generation_seconds_);
  return text;
}

}  // namespace tessera::serve
