// The worker threads of the process. The caller works too; workers spin briefly between tasks, then sleep.
#pragma once
#include <cstdint>
#include <memory>

#include "base/function_reference.h"

namespace tessera {

class ThreadPool {
 public:
  // `threads` counts the caller; at least 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return threads_; }

  // Splits [0, count) into contiguous ranges whose borders are multiples of `grain` and runs body(begin, end)
  // on each, on at most size() threads; returns when all are done. The first exception of a body is rethrown
  // here. Results must not depend on where the borders fall. A call from inside a body runs in that thread
  // alone.
  void parallel_for(std::int64_t count, std::int64_t grain,
                    FunctionReference<void(std::int64_t, std::int64_t)> body);

 private:
  struct State;
  std::unique_ptr<State> state_;
  int threads_;
};

// The pool that operations run on; made on first use with usable_cpus() threads (TESSERA_THREADS overrides).
ThreadPool& thread_pool();

// Replaces the pool. Not while operations run.
void set_thread_count(int threads);

// CPUs this process may use: the affinity mask, bounded by the cgroup's quota, at least 1.
int usable_cpus();

}  // namespace tessera
