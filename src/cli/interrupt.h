// Ctrl-C as a flag that the engine looks at, so that a command stops cleanly and keeps what it has.
#pragma once
#include <csignal>
#include <initializer_list>
#include <utility>
#include <vector>

#include "engine/request.h"

namespace tessera::cli {

// While one lives, the first SIGINT (or other signal of `signals`) sets flag(); a second one, before reset(),
// ends the process as usual.
class InterruptGuard {
 public:
  explicit InterruptGuard(std::initializer_list<int> signals = {SIGINT});
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  const engine::CancelFlag* flag() const;
  // Set by SIGTERM alone: whoever sent it will not wait long.
  const engine::CancelFlag* termination_flag() const;
  bool interrupted() const { return flag()->load(); }
  void reset();

 private:
  std::vector<std::pair<int, struct sigaction>> before_;
};

}  // namespace tessera::cli
