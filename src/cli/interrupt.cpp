#include "cli/interrupt.h"

#include <unistd.h>

namespace tessera::cli {
namespace {

engine::CancelFlag interrupted_flag{false};  // a handler can reach nothing else
static_assert(engine::CancelFlag::is_always_lock_free);

extern "C" void on_interrupt(int signal) {
  if (interrupted_flag.exchange(true)) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
}

}  // namespace

InterruptGuard::InterruptGuard() {
  interrupted_flag = false;
  struct sigaction action{};
  action.sa_handler = on_interrupt;  // without SA_RESTART, so that a read from the terminal ends too
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &before_);
}

InterruptGuard::~InterruptGuard() { ::sigaction(SIGINT, &before_, nullptr); }

const engine::CancelFlag* InterruptGuard::flag() const { return &interrupted_flag; }

void InterruptGuard::reset() { interrupted_flag = false; }

}  // namespace tessera::cli
