// Ctrl-C as a flag that the engine looks at, so that a command stops cleanly and keeps what it has.
#pragma once
#include <csignal>

#include "engine/request.h"

namespace tessera::cli {

// While one lives, the first SIGINT sets flag(); a second one, before reset(), ends the process as usual.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  const engine::CancelFlag* flag() const;
  bool interrupted() const { return flag()->load(); }
  void reset();

 private:
  struct sigaction before_{};
};

}  // namespace tessera::cli
