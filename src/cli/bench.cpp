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
  engine::BenchmarkOptions cases{.prefill_lengths = {16, 128, 512}, .decode_depths = {0, 512, 1536}};
  bool json = false;
};

std::string header(const engine::Generator& generator, const ops::MachinePeak& peak) {
  const engine::LoadedModel& loaded = generator.loaded();
  return fmt::format(
      "{}: {:.1f} M parameters, {:.1f} MB read a token; kernels {}, {} threads\n"
      "this machine, measured: {:.1f} GB/s read, {:.1f} GFLOP/s float32\n\n"
      "{:<14} {:>10} {:>17} {:>8} {:>8} {:>9} {:>8}\n",
      loaded.name, static_cast<double>(loaded.model->parameter_count()) / 1e6,
      static_cast<double>(engine::streamed_weight_bytes(loaded)) / 1e6, isa_name(selected_isa()),
      thread_pool().size(), peak.read_bytes_per_second / 1e9, peak.flops_per_second / 1e9, "case", "tokens/s",
      "slowest-fastest", "GB/s", "of peak", "GFLOP/s", "of peak");
}

std::string row(const engine::BenchmarkResult& result, const ops::MachinePeak& peak) {
  const auto tokens = static_cast<double>(result.tokens);
  return fmt::format(
      "{:<14} {:>10.1f} {:>17} {:>8.2f} {:>7.1f}% {:>9.2f} {:>7.1f}%\n", result.name,
      result.tokens_per_second(),
      fmt::format("{:.1f}-{:.1f}", tokens / result.slowest, tokens / result.fastest),
      result.bytes_per_second() / 1e9, 100 * result.bytes_per_second() / peak.read_bytes_per_second,
      result.flops_per_second() / 1e9, 100 * result.flops_per_second() / peak.flops_per_second);
}

std::string report_json(const engine::Generator& generator, const ops::MachinePeak& peak,
                        const std::vector<engine::BenchmarkResult>& results) {
  const engine::LoadedModel& loaded = generator.loaded();
  nlohmann::ordered_json cases = nlohmann::ordered_json::array();
  for (const engine::BenchmarkResult& result : results) {
    cases.push_back({{"case", result.name},
                     {"tokens", result.tokens},
                     {"depth", result.depth},
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
  }
  const nlohmann::ordered_json report = {
      {"model", loaded.name},
      {"parameters", loaded.model->parameter_count()},
      {"streamed_weight_bytes", engine::streamed_weight_bytes(loaded)},
      {"isa", isa_name(selected_isa())},
      {"threads", thread_pool().size()},
      {"peak",
       {{"read_bytes_per_second", peak.read_bytes_per_second}, {"flops_per_second", peak.flops_per_second}}},
      {"cases", std::move(cases)}};
  return report.dump(2);
}

// Without -c the context is as large as the cases need.
void choose_context(BenchFlags& flags) {
  if (flags.model.context_size != 0) return;
  std::int64_t wanted = 1;
  for (const std::int64_t length : flags.cases.prefill_lengths) wanted = std::max(wanted, length);
  for (const std::int64_t depth : flags.cases.decode_depths)
    wanted = std::max(wanted, depth + flags.cases.decode_tokens);
  flags.model.context_size = wanted;
}

void bench(BenchFlags flags, bool cases_given) {
  if (cases_given) choose_context(flags);
  const auto generator = open_generator(flags.model);
  if (!cases_given) {  // a model with a short context runs the cases that fit
    const std::int64_t room = generator->context_size();
    std::erase_if(flags.cases.prefill_lengths, [&](std::int64_t length) { return length > room; });
    std::erase_if(flags.cases.decode_depths,
                  [&](std::int64_t depth) { return depth + flags.cases.decode_tokens > room; });
  }
  const InterruptGuard interrupt;
  const ops::MachinePeak peak = ops::measure_machine_peak(kPeakBytes);
  if (flags.json) {
    const auto results = engine::run_benchmark(*generator, flags.cases, {}, interrupt.flag());
    fmt::print("{}\n", report_json(*generator, peak, results));
    return;
  }
  fmt::print("{}", header(*generator, peak));
  const auto show = [&](const engine::BenchmarkResult& result) {
    fmt::print("{}", row(result, peak));
    std::fflush(stdout);
  };
  engine::run_benchmark(*generator, flags.cases, show, interrupt.flag());
}

}  // namespace

void define_bench(CLI::App& app) {
  const auto flags = std::make_shared<BenchFlags>();
  add_model_flags(app, flags->model);
  const auto* prefill =
      add_option(app, "--prefill", flags->cases.prefill_lengths, "prompt lengths, separated by commas")
          ->delimiter(',');
  const auto* depths =
      add_option(app, "--depths", flags->cases.decode_depths, "context depths to decode at")->delimiter(',');
  add_option(app, "-n,--predict", flags->cases.decode_tokens, "tokens to decode at each depth");
  add_option(app, "--repetitions", flags->cases.repetitions,
             "measured runs of each case, after one that does not count");
  add_flag(app, "--json", flags->json, "print one JSON object");
  app.footer(
      "\nBytes are the weights (once a pass) and the cached keys and values (once a pass); flops are those "
      "of matrix\n"
      "products and attention. Shares are of what this machine reached a moment before.\n");
  app.callback([=] { bench(*flags, prefill->count() + depths->count() > 0); });
}

}  // namespace tessera::cli
