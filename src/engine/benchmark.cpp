#include "engine/benchmark.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/error.h"
#include "engine/benchmark_costs.h"

namespace tessera::engine {
namespace {

std::int64_t longest_sequence(const BenchmarkOptions& options) {
  std::int64_t longest = 1;
  for (const std::int64_t length : options.prefill_lengths) longest = std::max(longest, length);
  for (const std::int64_t depth : options.decode_depths)
    longest = std::max(longest, depth + options.decode_tokens);
  if (!options.batch_sizes.empty()) longest = std::max(longest, options.batch_depth + options.decode_tokens);
  return longest;
}

// Tokens that the cases have in the cache at the same time, each sequence rounded up to whole blocks.
std::int64_t cache_tokens(const BenchmarkOptions& options, std::int64_t block_size) {
  const auto whole = [&](std::int64_t tokens) { return (tokens + block_size - 1) / block_size * block_size; };
  std::int64_t tokens = whole(longest_sequence(options));
  for (const std::int64_t size : options.batch_sizes)
    tokens = std::max(tokens, size * whole(options.batch_depth + options.decode_tokens));
  return tokens;
}

class Bench {
 public:
  Bench(Generator& generator, const BenchmarkOptions& options, const CancelFlag* cancel)
      : generator_(&generator),
        options_(&options),
        cancel_(cancel),
        costs_(generator),
        cache_(generator.loaded().model->config().layers,
               {.tokens = cache_tokens(options, generator.cache().block_manager().block_size()),
                .block_size = generator.cache().block_manager().block_size(),
                .key_dtype = generator.cache().key_dtype(),
                .value_dtype = generator.cache().value_dtype()}),
        runner_(*generator.loaded().model, cache_) {}

  BenchmarkResult prefill(std::int64_t length) {
    BenchmarkResult result{.name = fmt::format("prefill {}", length), .tokens = length};
    std::vector<Sequence> sequences = sequences_of(1, length);
    measure(result, [&] { sequences.front().table().clear(); }, [&] { compute(sequences); });
    count_work(result, 0, length, generator_->prefill_chunk());
    return result;
  }

  // Depths in ascending order share one sequence that grows.
  BenchmarkResult decode(std::int64_t depth) {
    if (deep_.empty()) deep_ = sequences_of(1, 0);
    BenchmarkResult result{
        .name = fmt::format("decode @{}", depth), .tokens = options_->decode_tokens, .depth = depth};
    deep_.front().truncate(std::min(depth, deep_.front().length()));
    while (deep_.front().length() < depth) deep_.front().append(token(deep_.front().length()));
    if (depth > 0 && deep_.front().cached() < depth) compute(deep_);
    measure_decoding(result, deep_);
    return result;
  }

  BenchmarkResult batch(std::int64_t size) {
    deep_.clear();
    BenchmarkResult result{.name = fmt::format("batch {} @{}", size, options_->batch_depth),
                           .tokens = size * options_->decode_tokens,
                           .depth = options_->batch_depth,
                           .batch = size};
    std::vector<Sequence> sequences = sequences_of(size, options_->batch_depth);
    if (options_->batch_depth > 0) {
      for (Sequence& sequence : sequences) compute({&sequence, 1});
    }
    measure_decoding(result, sequences);
    return result;
  }

 private:
  // Neighbours in the vocabulary lie far apart, so that embedding rows are not all in one cache line.
  TokenId token(std::int64_t index) const {
    return static_cast<TokenId>((index * 7919 + 13) % generator_->loaded().model->config().vocab_size);
  }

  std::vector<Sequence> sequences_of(std::int64_t count, std::int64_t length) {
    std::vector<Sequence> sequences;
    for (std::int64_t i = 0; i < count; ++i) {
      sequences.emplace_back(cache_.block_manager());
      for (std::int64_t j = 0; j < length; ++j) sequences.back().append(token(j + 31 * i));
    }
    return sequences;
  }

  // What the sequences have uncached, in passes of the generator's chunk, with logits of each one's last row.
  void compute(std::span<Sequence> sequences) {
    std::vector<SequenceStep> steps(sequences.size());
    while (sequences.front().cached() < sequences.front().length()) {
      if (cancel_ != nullptr && cancel_->load(std::memory_order_relaxed))
        fail(ErrorKind::cancelled, "stopped");
      for (std::size_t i = 0; i < sequences.size(); ++i) {
        const std::int64_t left = sequences[i].length() - sequences[i].cached();
        steps[i] = {.sequence = &sequences[i],
                    .tokens = std::min(left, generator_->prefill_chunk()),
                    .logit_rows = 1};
      }
      runner_.run(steps);
    }
  }

  void measure_decoding(BenchmarkResult& result, std::span<Sequence> sequences) {
    const auto rewind = [&] {
      for (Sequence& sequence : sequences) sequence.truncate(result.depth);
    };
    measure(result, rewind, [&] {
      for (std::int64_t i = 0; i < options_->decode_tokens; ++i) {
        for (std::size_t s = 0; s < sequences.size(); ++s)
          sequences[s].append(token(i + static_cast<std::int64_t>(17 * s)));
        compute(sequences);
      }
    });
    rewind();
    count_work(result, result.depth, result.depth + options_->decode_tokens, 1);
  }

  void count_work(BenchmarkResult& result, std::int64_t begin, std::int64_t end, std::int64_t chunk) const {
    const BenchmarkCosts::Work work = costs_.work(begin, end, chunk, result.batch);
    result.bytes = work.bytes;
    result.flops = work.flops;
  }

  template <typename Reset, typename Work>
  void measure(BenchmarkResult& result, const Reset& reset, const Work& work) {
    using Clock = std::chrono::steady_clock;
    const auto seconds_since = [](Clock::time_point start) {
      return std::chrono::duration<double>(Clock::now() - start).count();
    };
    reset();
    work();
    Profile profile;
    const auto begin = Clock::now();
    while (std::ssize(result.runs) < options_->repetitions &&
           (result.runs.empty() || seconds_since(begin) < options_->seconds_per_case)) {
      reset();
      std::optional<ProfileScope> scope;
      if (options_->profile) scope.emplace(profile);
      const auto start = Clock::now();
      work();
      result.runs.push_back(seconds_since(start));
    }
    std::ranges::sort(result.runs);
    const std::size_t half = result.runs.size() / 2;
    result.seconds =
        result.runs.size() % 2 == 1 ? result.runs[half] : (result.runs[half - 1] + result.runs[half]) / 2;
    result.fastest = result.runs.front();
    result.slowest = result.runs.back();
    if (options_->profile) {
      double total = 0;
      for (const double run : result.runs) total += run;
      result.operations = profile.entries();
      result.operations.push_back({"other", 0, std::max(0.0, total - profile.seconds())});
    }
  }

  Generator* generator_;
  const BenchmarkOptions* options_;
  const CancelFlag* cancel_;
  BenchmarkCosts costs_;
  KeyValueCache cache_;
  ModelRunner runner_;
  std::vector<Sequence> deep_;
};

void expect_in(std::string_view what, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value < low || value > high)
    fail(ErrorKind::bad_usage, "{}: expected {} to {}, found {}", what, low, high, value);
}

void check(const BenchmarkOptions& options, const models::ModelConfig& config) {
  constexpr std::int64_t kMostTokens = 1 << 22;
  constexpr std::int64_t kMostSequences = 4096;
  const std::int64_t room = config.position_limit > 0 ? config.position_limit : kMostTokens;
  expect_in("repetitions", options.repetitions, 1, 1000);
  expect_in("decode tokens", options.decode_tokens, 1, room);
  for (const std::int64_t length : options.prefill_lengths) expect_in("prefill", length, 1, room);
  for (const std::int64_t depth : options.decode_depths)
    expect_in("depth", depth, 0, room - options.decode_tokens);
  for (const std::int64_t size : options.batch_sizes) expect_in("batch", size, 1, kMostSequences);
  if (!options.batch_sizes.empty())
    expect_in("batch depth", options.batch_depth, 0, room - options.decode_tokens);
}

}  // namespace

std::vector<BenchmarkResult> run_benchmark(Generator& generator, const BenchmarkOptions& options,
                                           const std::function<void(const BenchmarkResult&)>& on_result,
                                           const CancelFlag* cancel) {
  check(options, generator.loaded().model->config());
  Bench bench(generator, options, cancel);
  std::vector<BenchmarkResult> results;
  const auto keep = [&](BenchmarkResult result) {
    if (on_result) on_result(result);
    results.push_back(std::move(result));
  };
  for (const std::int64_t length : options.prefill_lengths) keep(bench.prefill(length));
  for (const std::int64_t depth : options.decode_depths) keep(bench.decode(depth));
  for (const std::int64_t size : options.batch_sizes) keep(bench.batch(size));
  return results;
}

}  // namespace tessera::engine
