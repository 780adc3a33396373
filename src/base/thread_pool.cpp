#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/cgroup_quota.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tessera {
namespace {

// Long enough to bridge the serial gaps of a forward pass (a few microseconds each), short enough that an
// idle server leaves its cores alone.
constexpr int kSpinRounds = 20'000;

// More parts than threads even out what other programs take; fewer keep each part a long run through memory.
// Decoding SmolLM2 Q4_1 on two threads: 4 parts 166, 2 parts 177, 1 part 179 tokens/s (medians of one run).
constexpr int kPartsPerThread = 2;
constexpr int kMostThreads = 4096;  // parts are counted in 16 bits

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

thread_local bool inside_pool = false;

}  // namespace

// Parts are claimed, not dealt out: whoever is awake takes the next one, so a worker that sleeps, or whose
// core another program holds, delays nobody. One 64-bit ticket says which call it is, how many parts it has
// and which is next; a worker that wakes late finds another ticket and its compare-and-swap fails, so it
// never sees a call that is over.
struct ThreadPool::State {
  using Body = FunctionReference<void(std::int64_t, std::int64_t)>;

  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<std::uint64_t> ticket{0};  // call number << 32 | parts << 16 | next part
  std::atomic<int> sleeping{0};
  std::atomic<std::uint32_t> finished{0};
  std::atomic<bool> stopping{false};
  std::mutex submit;  // one parallel_for at a time
  // Written before the ticket, read after a part was claimed; they stay as they are until every part is
  // finished.
  const Body* body = nullptr;
  std::int64_t count = 0;
  std::int64_t grain = 1;
  std::exception_ptr error;

  static std::uint32_t parts_of(std::uint64_t value) {
    return static_cast<std::uint32_t>(value >> 16) & 0xffffU;
  }
  static std::uint32_t next_of(std::uint64_t value) { return static_cast<std::uint32_t>(value) & 0xffffU; }

  void run_part(std::int64_t part, std::int64_t parts) {
    const std::int64_t chunks = (count + grain - 1) / grain;
    const std::int64_t begin = std::min(count, chunks * part / parts * grain);
    const std::int64_t end = std::min(count, chunks * (part + 1) / parts * grain);
    inside_pool = true;
    try {
      (*body)(begin, end);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
    inside_pool = false;
    finished.fetch_add(1, std::memory_order_acq_rel);
  }

  // Claims and runs parts until none is left. Returns the ticket that had none.
  std::uint64_t run_parts() {
    std::uint64_t seen = ticket.load(std::memory_order_acquire);
    while (next_of(seen) < parts_of(seen)) {
      if (!ticket.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) continue;
      run_part(next_of(seen), parts_of(seen));
      seen = ticket.load(std::memory_order_acquire);
    }
    return seen;
  }

  void wait_for_work(std::uint64_t done) {
    for (int round = 0; round < kSpinRounds; ++round) {
      if (ticket.load(std::memory_order_acquire) != done || stopping.load(std::memory_order_relaxed)) return;
      pause_briefly();
    }
    std::unique_lock lock(mutex);
    sleeping.fetch_add(1);
    wake.wait(lock, [&] { return ticket.load() != done || stopping.load(); });
    sleeping.fetch_sub(1);
  }

  void work() {
    while (!stopping.load()) wait_for_work(run_parts());
  }
};

ThreadPool::ThreadPool(int threads)
    : state_(std::make_unique<State>()), threads_(std::clamp(threads, 1, kMostThreads)) {
  for (int index = 1; index < threads_; ++index) {
    state_->workers.emplace_back([this] { state_->work(); });
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
  const auto parts = static_cast<std::uint32_t>(
      std::min<std::int64_t>((count + grain - 1) / grain, std::int64_t{threads_} * kPartsPerThread));
  state.body = &body;
  state.count = count;
  state.grain = grain;
  state.error = nullptr;
  state.finished.store(0, std::memory_order_relaxed);
  const std::uint64_t call = (state.ticket.load(std::memory_order_relaxed) >> 32) + 1;
  state.ticket.store(call << 32 | std::uint64_t{parts} << 16);  // sequentially consistent with `sleeping`
  if (state.sleeping.load() > 0) {
    {
      const std::lock_guard lock(state.mutex);
    }
    state.wake.notify_all();
  }
  state.run_parts();
  for (int round = 0; state.finished.load(std::memory_order_acquire) != parts; ++round) {
    if (round < kSpinRounds) {
      pause_briefly();
    } else {
      std::this_thread::yield();  // another program holds the core that the last part needs
    }
  }
  if (state.error) std::rethrow_exception(state.error);
}

namespace {

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
  // Half a CPU and more is worth a thread: two threads on 1.5 CPUs finish sooner than one.
  if (const auto quota = cgroup_cpu_quota(); quota && *quota < cpus) {
    cpus = std::max(1, static_cast<int>(std::lround(*quota)));
  }
  return cpus;
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
