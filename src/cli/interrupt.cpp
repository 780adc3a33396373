#include "cli/interrupt.h"

#include <unistd.h>

namespace tessera::cli {
namespace {

engine::CancelFlag interrupted_flag{false};  // a handler can reach nothing else
engine::CancelFlag terminated_flag{false};
static_assert(engine::CancelFlag::is_always_lock_free);

extern "C" void on_interrupt(int signal) {
  if (signal == SIGTERM) terminated_flag = true;
  if (interrupted_flag.exchange(true)) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
}

}  // namespace

InterruptGuard::InterruptGuard(std::initializer_list<int> signals) {
  interrupted_flag = false;
  terminated_flag = false;
  struct sigaction action{};
  action.sa_handler = on_interrupt;  // without SA_RESTART, so that a read from the terminal ends too
  sigemptyset(&action.sa_mask);
  for (const int signal : signals) {
    before_.emplace_back();
    before_.back().first = signal;
    ::sigaction(signal, &action, &before_.back().second);
  }
}

InterruptGuard::~InterruptGuard() {
  for (const auto& [signal, action] : before_) ::sigaction(signal, &action, nullptr);
}

const engine::CancelFlag* InterruptGuard::flag() const { return &interrupted_flag; }

const engine::CancelFlag* InterruptGuard::termination_flag() const { return &terminated_flag; }

void InterruptGuard::reset() { interrupted_flag = false; }

}  // namespace tessera::cli
