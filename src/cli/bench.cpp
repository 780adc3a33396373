#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/open_model.h"
#include "cli/options.h"
#include "engine/benchmark.h"
#include "ops/machine_peak.h"

namespace tessera::cli {
namespace {

// Several times any last-level cache that a share of a machine gets, or the cache would be measured.
constexpr std::size_t kPeakBytes = std::size_t{256} << 20;

struct BenchFlags {
  ModelFlags model;
  engine::BenchmarkOptions cases;
  bool json = false;
};

// What runs when no case is named; lengths that the model's weights cannot express are left out.
void choose_cases(engine::BenchmarkOptions& cases, std::int64_t position_limit) {
  cases.prefill_lengths = {128, 512, 2048, 8192};
  cases.decode_depths = {0, 512, 2048, 4096, 8192};
  cases.batch_sizes = {1, 8, 32, 64};
  if (position_limit == 0) return;
  std::erase_if(cases.prefill_lengths, [&](std::int64_t length) { return length > position_limit; });
  std::erase_if(cases.decode_depths,
                [&](std::int64_t depth) { return depth + cases.decode_tokens > position_limit; });
  if (cases.batch_depth + cases.decode_tokens > position_limit) cases.batch_sizes.clear();
}

std::string header(const engine::Generator& generator, const ops::MachinePeak& peak) {
  const engine::LoadedModel& loaded = generator.loaded();
  return fmt::format(
      "{}: {:.1f} M parameters, {:.1f} MB read a token; kernels {}, {} threads\n"
      "this machine, measured: {:.1f} GB/s read, {:.1f} GFLOP/s float32{}\n\n"
      "{:<14} {:>10} {:>17} {:>8} {:>8} {:>9} {:>8}{}\n",
      loaded.name, static_cast<double>(loaded.model->parameter_count()) / 1e6,
      static_cast<double>(engine::streamed_weight_bytes(loaded)) / 1e6, isa_name(selected_isa()),
      thread_pool().size(), peak.read_bytes_per_second / 1e9, peak.flops_per_second / 1e9,
      peak.byte_ops_per_second > 0 ? fmt::format(", {:.1f} GOP/s int8", peak.byte_ops_per_second / 1e9) : "",
      "case", "tokens/s", "slowest-fastest", "GB/s", "of peak", "GFLOP/s", "of f32",
      peak.byte_ops_per_second > 0 ? "  of int8" : "");
}

std::string row(const engine::BenchmarkResult& result, const ops::MachinePeak& peak) {
  const auto tokens = static_cast<double>(result.tokens);
  return fmt::format(
      "{:<14} {:>10.1f} {:>17} {:>8.2f} {:>7.1f}% {:>9.2f} {:>7.1f}%{}\n", result.name,
      result.tokens_per_second(),
      fmt::format("{:.1f}-{:.1f}", tokens / result.slowest, tokens / result.fastest),
      result.bytes_per_second() / 1e9, 100 * result.bytes_per_second() / peak.read_bytes_per_second,
      result.flops_per_second() / 1e9, 100 * result.flops_per_second() / peak.flops_per_second,
      peak.byte_ops_per_second > 0
          ? fmt::format(" {:>7.1f}%", 100 * result.flops_per_second() / peak.byte_ops_per_second)
          : "");
}

std::string report_json(const engine::Generator& generator, const ops::MachinePeak& peak,
                        const std::vector<engine::BenchmarkResult>& results) {
  const engine::LoadedModel& loaded = generator.loaded();
  nlohmann::ordered_json cases = nlohmann::ordered_json::array();
  for (const engine::BenchmarkResult& result : results) {
    cases.push_back({{"case", result.name},
                     {"tokens", result.tokens},
                     {"depth", result.depth},
                     {"batch", result.batch},
                     {"seconds", result.runs},
                     {"seconds_median", result.seconds},
                     {"seconds_fastest", result.fastest},
                     {"seconds_slowest", result.slowest},
                     {"tokens_per_second", result.tokens_per_second()},
                     {"bytes", result.bytes},
                     {"bytes_per_second", result.bytes_per_second()},
                     {"share_of_peak_bandwidth", result.bytes_per_second() / peak.read_bytes_per_second},
                     {"flops", result.flops},
                     {"flops_per_second", result.flops_per_second()},
                     {"share_of_peak_flops", result.flops_per_second() / peak.flops_per_second}});
    if (peak.byte_ops_per_second > 0) {
      cases.back()["share_of_peak_byte_ops"] = result.flops_per_second() / peak.byte_ops_per_second;
    }
    for (const ProfileEntry& entry : result.operations) {
      cases.back()["operations"].push_back(
          {{"operation", entry.operation}, {"calls", entry.calls}, {"seconds", entry.seconds}});
    }
  }
  const nlohmann::ordered_json report = {{"model", loaded.name},
                                         {"parameters", loaded.model->parameter_count()},
                                         {"streamed_weight_bytes", engine::streamed_weight_bytes(loaded)},
                                         {"isa", isa_name(selected_isa())},
                                         {"threads", thread_pool().size()},
                                         {"peak",
                                          {{"read_bytes_per_second", peak.read_bytes_per_second},
                                           {"flops_per_second", peak.flops_per_second},
                                           {"byte_ops_per_second", peak.byte_ops_per_second}}},
                                         {"cases", std::move(cases)}};
  return report.dump(2);
}

// The operations that took the time of a case, down to half a percent of it.
std::string profile_table(const engine::BenchmarkResult& result) {
  double total = 0;
  for (const ProfileEntry& entry : result.operations) total += entry.seconds;
  const double tokens = static_cast<double>(result.tokens) * static_cast<double>(result.runs.size());
  std::string table;
  for (const ProfileEntry& entry : result.operations) {
    if (entry.seconds < 0.005 * total) continue;
    table += fmt::format("    {:<34} {:>6.1f}%  {:>10.1f} us a token  {:>8} calls\n", entry.operation,
                         100 * entry.seconds / total, 1e6 * entry.seconds / tokens, entry.calls);
  }
  return table;
}

// The best of two measurements, before and after the cases: what disturbs one only ever makes it slower.
ops::MachinePeak better_of(const ops::MachinePeak& a, const ops::MachinePeak& b) {
  return {.read_bytes_per_second = std::max(a.read_bytes_per_second, b.read_bytes_per_second),
          .flops_per_second = std::max(a.flops_per_second, b.flops_per_second),
          .byte_ops_per_second = std::max(a.byte_ops_per_second, b.byte_ops_per_second)};
}

void bench(BenchFlags flags, bool cases_given) {
  const auto generator = open_generator(flags.model);
  if (!cases_given) choose_cases(flags.cases, generator->loaded().model->config().position_limit);
  const InterruptGuard interrupt;
  const ops::MachinePeak peak = ops::measure_machine_peak(kPeakBytes);
  if (flags.json) {
    const auto results = engine::run_benchmark(*generator, flags.cases, {}, interrupt.flag());
    fmt::print("{}\n",
               report_json(*generator, better_of(peak, ops::measure_machine_peak(kPeakBytes)), results));
    return;
  }
  fmt::print("{}", header(*generator, peak));
  const auto show = [&](const engine::BenchmarkResult& result) {
    fmt::print("{}{}", row(result, peak), profile_table(result));
    std::fflush(stdout);
  };
  engine::run_benchmark(*generator, flags.cases, show, interrupt.flag());
}

}  // namespace

void define_bench(CLI::App& app) {
  const auto flags = std::make_shared<BenchFlags>();
  add_model_flags(app, flags->model);
  const auto* prefill = add_option(app, "--prefill", flags->cases.prefill_lengths,
                                   "prompt lengths, separated by commas [128,512,2048,8192]")
                            ->delimiter(',');
  const auto* depths = add_option(app, "--depths", flags->cases.decode_depths,
                                  "context depths to decode at [0,512,2048,4096,8192]")
                           ->delimiter(',');
  const auto* batches = add_option(app, "--batches", flags->cases.batch_sizes,
                                   "numbers of sequences that decode together [1,8,32,64]")
                            ->delimiter(',');
  add_option(app, "--batch-depth", flags->cases.batch_depth,
             "tokens in the context of each sequence of a batch");
  add_option(app, "-n,--predict", flags->cases.decode_tokens, "tokens to decode at each depth");
  add_option(app, "--repetitions", flags->cases.repetitions,
             "measured runs of each case, after one that does not count");
  add_flag(app, "--profile", flags->cases.profile, "show the time that each operation takes");
  add_flag(app, "--json", flags->json, "print one JSON object");
  app.footer(
      "\nBytes are the weights (once a pass) and the cached keys and values (once a pass); flops are those "
      "of matrix\n"
      "products and attention. Shares are of what this machine reached a moment before: reading memory, "
      "float32\n"
      "multiply-adds, products of bytes. Packed block-quantised weights are multiplied in integers, with two "
      "or\n"
      "four of the latter for each product, and may pass the float32 peak. Whoever names prompt\n"
      "lengths, depths or batches gets just those; they may go beyond the model's context where its "
      "positions\n"
      "are rotary. A figure is the median of the repetitions (fewer than asked when a case takes over 20 "
      "s).\n");
  app.callback([=] { bench(*flags, prefill->count() + depths->count() + batches->count() > 0); });
}

}  // namespace tessera::cli
