// What encoding did on this thread, in steps, so that a test can hold it to linear time without a clock.
#pragma once
#include <cstdint>

namespace tessera::text {

struct EncodeWork {
  std::uint64_t scanned_bytes = 0;  // read by word scanners and by the search for added tokens
  std::uint64_t merge_lookups = 0;  // pairs of symbols looked up
  std::uint64_t regex_steps = 0;    // of regular expressions, within a factor of two; only when asked for:
  bool count_regex_steps = false;   // it takes PCRE2's interpreter, many times slower than its JIT

  std::uint64_t total() const { return scanned_bytes + merge_lookups + regex_steps; }
};

// Counters only rise; a test takes differences.
inline EncodeWork& encode_work() {
  static thread_local constinit EncodeWork work;
  return work;
}

}  // namespace tessera::text
