#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tessera {
namespace {

// Long enough to bridge the serial gaps of a forward pass (a few microseconds each), short enough that an
// idle server leaves its cores alone.
constexpr int kSpinRounds = 20'000;

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

thread_local bool inside_pool = false;

}  // namespace

struct ThreadPool::State {
  using Body = FunctionReference<void(std::int64_t, std::int64_t)>;

  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<std::uint64_t> generation{0};
  std::atomic<int> remaining{0};
  std::atomic<bool> stopping{false};
  std::mutex submit;  // one parallel_for at a time
  const Body* body = nullptr;
  std::int64_t count = 0;
  std::int64_t grain = 1;
  int parts = 1;
  std::exception_ptr error;

  void run_part(int part) {
    const std::int64_t chunks = (count + grain - 1) / grain;
    const std::int64_t begin = std::min(count, chunks * part / parts * grain);
    const std::int64_t end = std::min(count, chunks * (part + 1) / parts * grain);
    if (begin >= end) return;
    inside_pool = true;
    try {
      (*body)(begin, end);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
    inside_pool = false;
  }

  std::uint64_t wait_for_work(std::uint64_t seen) {
    for (int round = 0; round < kSpinRounds; ++round) {
      const std::uint64_t now = generation.load(std::memory_order_acquire);
      if (now != seen || stopping.load(std::memory_order_relaxed)) return now;
      pause_briefly();
    }
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return generation.load() != seen || stopping.load(); });
    return generation.load();
  }

  void work(int index) {
    std::uint64_t seen = 0;
    while (true) {
      seen = wait_for_work(seen);
      if (stopping.load()) return;
      run_part(index);
      remaining.fetch_sub(1, std::memory_order_acq_rel);
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()), threads_(std::max(1, threads)) {
  for (int index = 1; index < threads_; ++index) {
    state_->workers.emplace_back([this, index] { state_->work(index); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping.store(true);
  }
  state_->wake.notify_all();
  for (auto& worker : state_->workers) worker.join();
}

void ThreadPool::parallel_for(std::int64_t count, std::int64_t grain,
                              FunctionReference<void(std::int64_t, std::int64_t)> body) {
  if (count <= 0) return;
  grain = std::max<std::int64_t>(1, grain);
  if (threads_ == 1 || inside_pool || count <= grain) {
    body(0, count);
    return;
  }
  const std::lock_guard submit(state_->submit);
  State& state = *state_;
  state.body = &body;
  state.count = count;
  state.grain = grain;
  state.parts = threads_;
  state.error = nullptr;
  state.remaining.store(threads_ - 1, std::memory_order_relaxed);
  {
    const std::lock_guard lock(state.mutex);
    state.generation.fetch_add(1, std::memory_order_release);
  }
  state.wake.notify_all();
  state.run_part(0);
  while (state.remaining.load(std::memory_order_acquire) != 0) pause_briefly();
  if (state.error) std::rethrow_exception(state.error);
}

namespace {

int cgroup_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::max(1, static_cast<int>(std::atof(quota.c_str()) / period + 0.5));
}

std::unique_ptr<ThreadPool>& pool_slot() {
  static std::unique_ptr<ThreadPool> pool;
  return pool;
}

std::mutex& pool_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cpus = 1;
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) cpus = std::max(1, CPU_COUNT(&set));
  const int quota = cgroup_quota();
  return quota > 0 ? std::min(cpus, quota) : cpus;
}

ThreadPool& thread_pool() {
  const std::lock_guard lock(pool_mutex());
  auto& pool = pool_slot();
  if (!pool) {
    const char* wanted = std::getenv("TESSERA_THREADS");
    const int threads = wanted != nullptr ? std::atoi(wanted) : 0;
    pool = std::make_unique<ThreadPool>(threads > 0 ? threads : usable_cpus());
  }
  return *pool;
}

void set_thread_count(int threads) {
  const std::lock_guard lock(pool_mutex());
  pool_slot() = std::make_unique<ThreadPool>(threads);
}

}  // namespace tessera
