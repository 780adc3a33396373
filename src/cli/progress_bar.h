// Shows the progress record: a bar that is redrawn in a terminal, a plain line every few seconds elsewhere.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "base/progress.h"

namespace tessera::cli {

// "86.3 MB": decimal units, three digits.
std::string bytes_text(std::uint64_t bytes);
// "7 s", "3:05", "1:02:03".
std::string duration_text(double seconds);

// The record in words: "tiny.gguf 43% 120 of 300 MB, 12.3 MB/s, 0:12 left".
std::string progress_text(const Progress& progress);
// The same with a bar, at most `width` columns.
std::string progress_bar(const Progress& progress, int width);

class ProgressDisplay {
 public:
  // Writes to `fd`. Work that is done within `quiet_seconds` shows nothing at all.
  explicit ProgressDisplay(int fd, double quiet_seconds = 0);
  ~ProgressDisplay();  // leaves no half-drawn bar behind
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  void show(const Progress& progress);
  // Removes the bar, so that something else can be printed.
  void clear();
  ProgressSink sink() {
    return [this](const Progress& progress) { show(progress); };
  }

 private:
  using Clock = std::chrono::steady_clock;
  int fd_;
  bool terminal_;
  double quiet_seconds_;
  bool drawn_ = false;
  Clock::time_point begin_;
  Clock::time_point last_;
};

}  // namespace tessera::cli
