// One progress record for everything that takes time (download, verify, load, prefill): terminal, page and
// API show the same numbers.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace tessera {

struct Progress {
  std::string stage;           // "download", "verify", "load", "prefill"
  std::string subject;         // file or model name
  std::uint64_t done = 0;      // in `unit`
  std::uint64_t total = 0;     // 0: not known
  std::string unit = "bytes";  // "bytes", "tokens", "tensors"
  double seconds = 0;          // since the stage began
  double per_second = 0;       // speed over the last few seconds
  bool finished = false;

  // Seconds to go at this speed; negative when it cannot be told.
  double eta() const {
    if (total < done || total == 0 || per_second <= 0) return -1;
    return static_cast<double>(total - done) / per_second;
  }
};

// Called from the thread that works; must be quick. Throwing Error(cancelled) stops the work cleanly.
using ProgressSink = std::function<void(const Progress&)>;

}  // namespace tessera
