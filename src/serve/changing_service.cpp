#include "serve/changing_service.h"

#include <chrono>
#include <thread>
#include <utility>

namespace tessera::serve {

ChangingService::ChangingService(ServiceOptions options)
    : options_(std::move(options)), current_(std::make_shared<Serving>(options_)) {}

ChangingService::~ChangingService() { stop(); }

std::shared_ptr<ChangingService::Serving> ChangingService::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

void ChangingService::change_model(std::shared_ptr<const engine::LoadedModel> loaded,
                                   const EngineBackendOptions& options, double seconds) {
  auto next = std::make_shared<Serving>(options_);
  next->backend = std::make_unique<EngineBackend>(std::move(loaded), options);
  next->service.set_model({.backend = next->backend.get(), .names = {next->backend->loaded().name}});
  std::shared_ptr<Serving> before;
  {
    const std::lock_guard lock(mutex_);
    before = std::exchange(current_, std::move(next));
  }
  retire(*before, seconds);
}

// Nothing new comes to it, except what had already been handed to it.
void ChangingService::retire(Serving& serving, double seconds) {
  if (!serving.backend) return;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    const BackendStatistics now = serving.backend->statistics();
    if (now.waiting == 0 && now.running == 0) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  serving.backend->stop();
}

void ChangingService::stop() { retire(*current(), 0); }

void ChangingService::handle(std::shared_ptr<Exchange> exchange) {
  const std::shared_ptr<Serving> serving = current();
  serving->service.handle(std::move(exchange));
}

void ChangingService::answered(const HttpRequest& request, int status, double seconds) {
  current()->service.answered(request, status, seconds);
}

}  // namespace tessera::serve
