#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <future>
#include <utility>

#include "base/error.h"

namespace tessera::engine {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kRestBeforeSaving{500};
constexpr milliseconds kPauseBetweenSaves{1};
constexpr milliseconds kLongestSaving{5000};
constexpr std::int64_t kBlocksSavedAtATime = 16;

}  // namespace

Engine::Engine(std::shared_ptr<const LoadedModel> loaded, const EngineOptions& options)
    : batch_(std::move(loaded), options),
      max_waiting_(options.max_waiting),
      max_sequences_(options.scheduler.max_sequences),
      statistics_(batch_.statistics()) {
  if (max_waiting_ < 0) {
    fail(ErrorKind::bad_usage, "queue: expected room for 0 or more answers, found {}", max_waiting_);
  }
  thread_ = std::thread([this] { work(); });
}

RequestId Engine::submit(const EngineRequest& request, EventSink sink) {
  RequestId id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = next_request_++;
  }
  std::unique_ptr<Task> task = batch_.make_task(id, request);  // checks it, in the caller's thread
  {
    const std::lock_guard lock(mutex_);
    if (draining_ || stopping_) fail(ErrorKind::busy, "the engine is stopping and takes no more requests");
    if (!has_room_for(request.n)) {
      fail(ErrorKind::busy, "the queue is full: {} answers run or wait, of at most {}; try again later",
           open_answers_, max_sequences_ + max_waiting_);
    }
    sinks_.emplace(id, OpenRequest{std::make_shared<const EventSink>(std::move(sink)), request.n});
    open_answers_ += request.n;
    inbox_.tasks.push_back(std::move(task));
  }
  wake_.notify_one();
  return id;
}

void Engine::cancel(RequestId request) {
  {
    const std::lock_guard lock(mutex_);
    if (!sinks_.contains(request)) return;
    inbox_.cancels.push_back(request);
  }
  wake_.notify_one();
}

std::vector<GenerationResult> Engine::run(const EngineRequest& request) {
  std::vector<GenerationResult> results(static_cast<std::size_t>(std::max<std::int64_t>(request.n, 0)));
  std::promise<void> done;
  std::int64_t open = request.n;
  std::string error;
  submit(request, [&](const EngineEvent& event) {
    if (event.result == nullptr) return;
    results[static_cast<std::size_t>(event.choice)] = *event.result;
    if (!event.error.empty()) error = event.error;
    if (--open == 0) done.set_value();
  });
  done.get_future().wait();
  if (!error.empty()) fail(ErrorKind::internal, "{}", error);
  return results;
}

bool Engine::has_room_for(std::int64_t answers) const {
  return open_answers_ + answers <= max_sequences_ + max_waiting_;
}

bool Engine::full() const {
  const std::lock_guard lock(mutex_);
  return !has_room_for(1);
}

EngineStatistics Engine::statistics() const {
  EngineStatistics statistics;
  {
    const std::lock_guard lock(mutex_);
    statistics = statistics_;
    statistics.waiting = open_answers_ - statistics.running;
  }
  statistics.disk = batch_.disk_counts();
  return statistics;
}

void Engine::clear_prefix_cache() {
  {
    const std::lock_guard lock(mutex_);
    inbox_.clear_prefix_cache = true;
  }
  wake_.notify_one();
}

void Engine::drain() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }
  wake_.notify_one();
  join();
}

void Engine::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  join();
}

void Engine::join() {
  const std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

// Waits until there is something to do. False: it is time to end.
bool Engine::take_inbox(Inbox& inbox) {
  std::unique_lock lock(mutex_);
  statistics_ = batch_.statistics();
  const auto something = [&] { return !inbox_.empty() || !batch_.idle() || draining_ || stopping_; };
  save_while_idle(lock, something);
  wake_.wait(lock, something);
  inbox = std::exchange(inbox_, {});
  if (stopping_) return false;
  return !(draining_ && inbox.empty() && batch_.idle());
}

// What rests for a while goes to disk, a little at a time.
void Engine::save_while_idle(std::unique_lock<std::mutex>& lock, const std::function<bool()>& something) {
  auto pause = kRestBeforeSaving;
  while (batch_.has_unsaved() && !wake_.wait_for(lock, pause, something)) {
    lock.unlock();
    batch_.save_some(kBlocksSavedAtATime);
    lock.lock();
    pause = kPauseBetweenSaves;
  }
}

// At the end there is time for what the disk takes within a few seconds.
void Engine::save_rest() {
  const auto end = std::chrono::steady_clock::now() + kLongestSaving;
  while (batch_.has_unsaved() && std::chrono::steady_clock::now() < end) {
    batch_.save_some(kBlocksSavedAtATime);
    std::this_thread::sleep_for(kPauseBetweenSaves);
  }
}

void Engine::work() {
  const EventSink sink = [this](const EngineEvent& event) { handle(event); };
  Inbox inbox;
  for (bool goes_on = true; goes_on;) {
    goes_on = take_inbox(inbox);
    for (auto& task : inbox.tasks) batch_.add(std::move(task));
    for (const RequestId request : inbox.cancels) batch_.cancel(request, sink);
    if (inbox.clear_prefix_cache) batch_.clear_prefix_cache();
    if (goes_on) batch_.step(sink);
  }
  batch_.cancel_all(sink);
  save_rest();
  const std::lock_guard lock(mutex_);
  statistics_ = batch_.statistics();
}

void Engine::handle(const EngineEvent& event) {
  std::shared_ptr<const EventSink> sink;
  {
    const std::lock_guard lock(mutex_);
    const auto found = sinks_.find(event.request);
    if (found == sinks_.end()) return;
    sink = found->second.sink;
    statistics_.running = batch_.scheduler().running();
    if (event.result != nullptr) {
      --open_answers_;
      if (--found->second.open == 0) sinks_.erase(found);
    }
  }
  try {
    if (*sink) (*sink)(event);
  } catch (...) {
    cancel(event.request);
  }
}

}  // namespace tessera::engine
