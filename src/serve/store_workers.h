// Threads that each have a connection to the session store: sockets and the model never wait for the disk.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store/session_store.h"

namespace tessera::serve {

struct StoreWorkersOptions {
  std::string path = {};  // empty: a temporary folder, which goes with the workers
  store::StoreOptions store = {};
  int threads = 2;
  std::size_t most_waiting = 1024;
};

class StoreWorkers {
 public:
  // Opens the store. Error: those of store::SessionStore.
  explicit StoreWorkers(StoreWorkersOptions options);
  // Does what waits, then ends the threads.
  ~StoreWorkers();
  StoreWorkers(const StoreWorkers&) = delete;
  StoreWorkers& operator=(const StoreWorkers&) = delete;

  const std::string& path() const { return options_.path; }

  // Each runs once, in a thread of the workers; what it throws is logged.
  using Work = std::function<void(store::SessionStore&)>;
  // For requests. Any thread; returns at once. ApiError 503: too much waits already.
  void submit(Work work);
  // For what is owed to a request that was taken: the end of an answer. Never refused.
  void submit_owed(Work work);
  // Returns when nothing waits and nothing runs.
  void wait_until_idle();

 private:
  void work();
  void add(Work work, bool owed);

  StoreWorkersOptions options_;
  bool temporary_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<Work> waiting_;
  int running_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tessera::serve
