#include "ops/machine_peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "tensor/storage.h"

namespace tessera::ops {
namespace {

// The best of a few sweeps: what disturbs a measurement only ever makes it slower.
constexpr int kSweeps = 5;
constexpr std::int64_t kPage = 4096;

template <typename Work>
double best_seconds(const Work& work) {
  double best = 1e30;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::min(best, elapsed.count());
  }
  return std::max(best, 1e-9);
}

double read_bandwidth(std::int64_t pages) {
  const auto bytes = static_cast<std::size_t>(pages * kPage);
  const auto storage = Storage::allocate(bytes);
  std::byte* data = storage->mutable_bytes().data();
  ThreadPool& pool = thread_pool();
  // Every thread touches first what it will read, so that the pages are its own and are there.
  pool.parallel_for(pages, 1, [&](std::int64_t begin, std::int64_t end) {
    std::memset(data + begin * kPage, 1, static_cast<std::size_t>((end - begin) * kPage));
  });
  const auto read = kernels::active().read;
  std::atomic<std::uint64_t> checksum{0};
  const double seconds = best_seconds([&] {
    pool.parallel_for(pages, 1, [&](std::int64_t begin, std::int64_t end) {
      checksum += read(data + begin * kPage, static_cast<std::size_t>((end - begin) * kPage));
    });
  });
  if (checksum.load() == 0) fail(ErrorKind::internal, "machine peak: the memory read back as zero");
  return static_cast<double>(bytes) / seconds;
}

// Of all threads together; `operations` are those of one round.
template <typename Kernel>
double operations_per_second(Kernel kernel, std::int64_t operations) {
  ThreadPool& pool = thread_pool();
  constexpr std::int64_t kRounds = 4'000'000;
  std::atomic<decltype(kernel(kRounds))> result{};
  const double seconds = best_seconds([&] {
    pool.parallel_for(pool.size(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) result.store(kernel(kRounds));
    });
  });
  return static_cast<double>(operations * kRounds * pool.size()) / seconds;
}

}  // namespace

MachinePeak measure_machine_peak(std::size_t bytes) {
  const std::int64_t pages = std::max<std::int64_t>(1, static_cast<std::int64_t>(bytes) / kPage);
  const auto& table = kernels::active();
  MachinePeak peak{.read_bytes_per_second = read_bandwidth(pages),
                   .flops_per_second = operations_per_second(table.multiply_add, table.flops_per_round)};
  if (table.multiply_bytes != nullptr) {
    peak.byte_ops_per_second = operations_per_second(table.multiply_bytes, table.byte_ops_per_round);
  }
  return peak;
}

}  // namespace tessera::ops
