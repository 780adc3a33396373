#include "serve/store_workers.h"

#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "serve/api_error.h"

namespace tessera::serve {
namespace {

std::string temporary_path() {
  std::string folder = (std::filesystem::temp_directory_path() / "tessera-sessions-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) {
    fail(ErrorKind::io, "{}: cannot be made: {}; --sessions names a file for the sessions", folder,
         std::strerror(errno));
  }
  return (std::filesystem::path(folder) / "sessions.db").string();
}

}  // namespace

StoreWorkers::StoreWorkers(StoreWorkersOptions options) : options_(std::move(options)) {
  temporary_ = options_.path.empty();
  if (temporary_) options_.path = temporary_path();
  // Made or brought to the newest schema once, and what is wrong with it is said here.
  store::SessionStore(options_.path, options_.store);
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
}

StoreWorkers::~StoreWorkers() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  if (!temporary_) return;
  std::error_code ignored;
  std::filesystem::remove_all(std::filesystem::path(options_.path).parent_path(), ignored);
}

void StoreWorkers::submit(Work work) { add(std::move(work), false); }
void StoreWorkers::submit_owed(Work work) { add(std::move(work), true); }

void StoreWorkers::add(Work work, bool owed) {
  {
    const std::lock_guard lock(mutex_);
    if (!owed && waiting_.size() >= options_.most_waiting) {
      ApiError busy(503, fmt::format("{} requests wait for the session store", waiting_.size()), "",
                    "overloaded");
      busy.retry_after_seconds = 1;
      throw busy;
    }
    waiting_.push_back(std::move(work));
  }
  wake_.notify_one();
}

void StoreWorkers::wait_until_idle() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return waiting_.empty() && running_ == 0; });
}

void StoreWorkers::work() {
  std::optional<store::SessionStore> store;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const Work task = std::move(waiting_.front());
    waiting_.pop_front();
    ++running_;
    lock.unlock();
    try {
      if (!store) store.emplace(options_.path, options_.store);
      task(*store);
    } catch (const std::exception& error) {
      log_line(LogLevel::warning, fmt::format("session store: {}", error.what()));
    }
    lock.lock();
    --running_;
    if (waiting_.empty() && running_ == 0) idle_.notify_all();
  }
}

}  // namespace tessera::serve
