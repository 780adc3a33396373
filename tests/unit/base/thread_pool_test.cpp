#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace tessera {
namespace {

TEST(ThreadPool, EveryIndexIsRunOnceWhateverTheSizes) {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (const std::int64_t count : {0, 1, 2, 15, 16, 17, 1000, 4099}) {
      for (const std::int64_t grain : {1, 16, 5000}) {
        std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
        std::atomic<int> off_border{0};
        pool.parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
          if (begin % grain != 0 || (end % grain != 0 && end != count) || begin >= end) ++off_border;
          for (std::int64_t i = begin; i < end; ++i) ++runs[static_cast<std::size_t>(i)];
        });
        EXPECT_EQ(off_border, 0) << count << " by " << grain;
        for (const auto& run : runs) ASSERT_EQ(run, 1) << count << " by " << grain << " on " << threads;
      }
    }
  }
}

// Calls that follow each other closely: a worker that wakes late must not run a part of a call that is over.
TEST(ThreadPool, ManyShortCallsNeverMix) {
  ThreadPool pool(4);
  for (int call = 0; call < 20'000; ++call) {
    std::vector<int> values(64, 0);  // freed after the call: a late write is a sanitizer's finding
    pool.parallel_for(64, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) values[static_cast<std::size_t>(i)] = call;
    });
    ASSERT_EQ(std::accumulate(values.begin(), values.end(), 0), 64 * call);
  }
}

TEST(ThreadPool, WorkersThatSleepAreWoken) {
  ThreadPool pool(2);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> waiting{0};
    // Both threads must be inside at once for either to leave.
    pool.parallel_for(2, 1, [&](std::int64_t, std::int64_t) {
      ++waiting;
      while (waiting < 2) std::this_thread::yield();
    });
    EXPECT_EQ(waiting, 2);
  }
}

TEST(ThreadPool, TheFirstExceptionReachesTheCallerAndThePoolGoesOn) {
  ThreadPool pool(3);
  for (int round = 0; round < 50; ++round) {
    EXPECT_THROW(pool.parallel_for(100, 1,
                                   [](std::int64_t begin, std::int64_t) {
                                     if (begin > 10) throw std::runtime_error("no");
                                   }),
                 std::runtime_error);
  }
  std::atomic<std::int64_t> sum{0};
  pool.parallel_for(100, 1, [&](std::int64_t begin, std::int64_t end) { sum += end - begin; });
  EXPECT_EQ(sum, 100);
}

TEST(ThreadPool, CallsFromInsideRunInThatThread) {
  ThreadPool pool(2);
  std::atomic<int> inner{0};
  pool.parallel_for(4, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto thread = std::this_thread::get_id();
      pool.parallel_for(10, 1, [&](std::int64_t from, std::int64_t to) {
        if (std::this_thread::get_id() == thread) inner += static_cast<int>(to - from);
      });
    }
  });
  EXPECT_EQ(inner, 40);
}

TEST(ThreadPool, SeveralCallersTakeTurns) {
  ThreadPool pool(2);
  std::vector<std::thread> callers;
  std::atomic<std::int64_t> sum{0};
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        pool.parallel_for(10, 1, [&](std::int64_t begin, std::int64_t end) { sum += end - begin; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 4 * 500 * 10);
}

}  // namespace
}  // namespace tessera
