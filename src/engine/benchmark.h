// Times prefill, decode and batches of sequences, and counts the bytes and floating-point operations that
// they must move at least.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/profile.h"
#include "engine/generator.h"

namespace tessera::engine {

struct BenchmarkOptions {
  std::vector<std::int64_t> prefill_lengths = {};  // tokens, each at least 1
  std::vector<std::int64_t> decode_depths = {};    // tokens already in the context
  std::vector<std::int64_t> batch_sizes = {};      // sequences that decode together, each at least 1
  std::int64_t batch_depth = 128;                  // tokens already in the context of each of them
  std::int64_t decode_tokens = 32;                 // made at each depth, and by each sequence of a batch
  std::int64_t repetitions = 5;                    // after one that does not count
  double seconds_per_case = 20;                    // no further repetition is begun after these
  bool profile = false;                            // fill BenchmarkResult::operations
};

struct BenchmarkResult {
  std::string name;               // "prefill 512", "decode @1024", "batch 32 @128"
  std::int64_t tokens = 0;        // of one repetition, all sequences together
  std::int64_t depth = 0;         // in the context before them
  std::int64_t batch = 1;         // sequences
  std::vector<double> runs = {};  // seconds of each repetition, the fastest first
  double seconds = 0;             // their median
  double fastest = 0;
  double slowest = 0;
  double bytes = 0;  // weights and cached keys and values read in one repetition
  double flops = 0;  // matrix products and attention of one repetition; a multiply-add is two
  std::vector<ProfileEntry> operations = {};  // over all repetitions; what is in none of them is "other"

  double tokens_per_second() const { return static_cast<double>(tokens) / seconds; }
  double bytes_per_second() const { return bytes / seconds; }
  double flops_per_second() const { return flops / seconds; }
};

// Bytes of the weights that one forward pass reads: all but the rows of an input embedding that is not the
// output's too.
std::uint64_t streamed_weight_bytes(const LoadedModel& loaded);

// Runs every case on a cache of its own, each result handed on as it is ready. Where positions are rotary,
// cases may go beyond the context that the model was trained for: speed does not ask what the text means.
// Error bad_usage: a length, size or count that cannot be; limit: memory; cancelled.
std::vector<BenchmarkResult> run_benchmark(Generator& generator, const BenchmarkOptions& options,
                                           const std::function<void(const BenchmarkResult&)>& on_result = {},
                                           const CancelFlag* cancel = nullptr);

}  // namespace tessera::engine
