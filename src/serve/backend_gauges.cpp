#include "serve/backend_gauges.h"

namespace tessera::serve {
namespace {

template <typename Number>
double as_double(Number number) {
  return static_cast<double>(number);
}

template <typename Number>
Gauge gauge(std::string_view name, std::string_view help, Number value) {
  return {.name = name, .help = help, .value = as_double(value)};
}

template <typename Number>
Gauge counter(std::string_view name, std::string_view help, Number value) {
  return {.name = name, .help = help, .value = as_double(value), .counts_up = true};
}

void add_disk(std::vector<Gauge>& gauges, const engine::DiskCacheCounts& disk) {
  gauges.insert(
      gauges.end(),
      {gauge("tessera_disk_cache_bytes", "Files with keys and values of prefixes.", disk.bytes),
       gauge("tessera_disk_cache_limit_bytes", "That they may have.", disk.max_bytes),
       counter("tessera_disk_cache_blocks_written_total", "Blocks written.", disk.blocks_written),
       counter("tessera_disk_cache_blocks_read_total", "Blocks found there again.", disk.blocks_read),
       counter("tessera_disk_cache_tokens_read_total", "Tokens of those.", disk.tokens_read),
       counter("tessera_disk_cache_read_failures_total", "Blocks damaged or gone, and computed again.",
               disk.read_failures),
       counter("tessera_disk_cache_write_failures_total", "Blocks that the disk did not take.",
               disk.write_failures)});
}

}  // namespace

std::vector<Gauge> backend_gauges(const BackendStatistics& now) {
  std::vector<Gauge> gauges = {
      gauge("tessera_requests_waiting", "Answers that wait for the model.", now.waiting),
      gauge("tessera_requests_running", "Answers that the model works on.", now.running),
      gauge("tessera_cache_tokens", "Tokens that the key/value cache has room for.", now.cache_tokens),
      gauge("tessera_cache_tokens_used", "Of those, taken by answers in the making.", now.cache_used_tokens),
      gauge("tessera_cache_tokens_prefixes", "Of those, kept because a prompt may begin so again.",
            now.cache_prefix_tokens),
      counter("tessera_preemptions_total", "Answers that lost their place in the cache for a while.",
              now.preemptions),
      counter("tessera_passes_total", "Passes through the model.", now.passes),
      counter("tessera_computed_tokens_total", "Tokens run through the model.", now.computed_tokens),
      counter("tessera_generated_tokens_total", "Tokens given out, of unfinished answers too.",
              now.generated_tokens),
      counter("tessera_drafted_tokens_total", "Tokens guessed ahead.", now.drafted_tokens),
      counter("tessera_drafted_tokens_right_total", "Of those, what the model said too.",
              now.accepted_tokens),
      counter("tessera_answers_total", "Answers that have ended.", now.finished),
      counter("tessera_answers_cancelled_total", "Of those, given up because nobody listened.",
              now.cancelled),
      counter("tessera_answers_failed_total", "Of those, failed.", now.failed),
  };
  if (now.disk) add_disk(gauges, *now.disk);
  return gauges;
}

}  // namespace tessera::serve
