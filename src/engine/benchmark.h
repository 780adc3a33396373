// Times prefill and decode, and counts the bytes and floating-point operations that they must move at least.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/generator.h"

namespace tessera::engine {

struct BenchmarkOptions {
  std::vector<std::int64_t> prefill_lengths = {};  // tokens, each at least 1
  std::vector<std::int64_t> decode_depths = {};    // tokens already in the context
  std::int64_t decode_tokens = 32;                 // made at each depth
  std::int64_t repetitions = 3;                    // after one that does not count
};

struct BenchmarkResult {
  std::string name;         // "prefill 512", "decode @1024"
  std::int64_t tokens = 0;  // of one repetition
  std::int64_t depth = 0;   // in the context before them
  double seconds = 0;       // median of the repetitions
  double fastest = 0;
  double slowest = 0;
  double bytes = 0;  // weights and cached keys and values read in one repetition
  double flops = 0;  // matrix products and attention of one repetition; a multiply-add is two

  double tokens_per_second() const { return static_cast<double>(tokens) / seconds; }
  double bytes_per_second() const { return bytes / seconds; }
  double flops_per_second() const { return flops / seconds; }
};

// Bytes of the weights that one forward pass reads: all but the rows of an input embedding that is not the
// output's too.
std::uint64_t streamed_weight_bytes(const LoadedModel& loaded);

// Runs every case, each result handed on as it is ready. Error bad_usage: a length that is negative or does
// not fit in the context; cancelled.
std::vector<BenchmarkResult> run_benchmark(Generator& generator, const BenchmarkOptions& options,
                                           const std::function<void(const BenchmarkResult&)>& on_result = {},
                                           const CancelFlag* cancel = nullptr);

}  // namespace tessera::engine
