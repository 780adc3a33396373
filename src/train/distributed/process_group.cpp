#include "train/distributed/process_group.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <optional>
#include <thread>

#include "base/error.h"

namespace tessera::train {
namespace {

using Clock = std::chrono::steady_clock;

// A rank that was asked to end waits this long for the others: mpirun kills it a second after asking.
constexpr auto kLastPatience = std::chrono::milliseconds(400);
// Polls before a waiting rank begins to leave its core alone.
constexpr int kEagerPolls = 4000;
constexpr auto kPause = std::chrono::microseconds(50);

class Arrived final : public Transfer {
 public:
  bool finished() override { return true; }
};

class WorldOfOne final : public ProcessGroup {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int threads() const override { return 0; }
  int machines() const override { return 1; }
  std::unique_ptr<Transfer> start_all_to_all(Bytes out, MutableBytes in) override { return copied(out, in); }
  std::unique_ptr<Transfer> start_all_gather(Bytes own, MutableBytes in) override { return copied(own, in); }
  std::unique_ptr<Transfer> start_broadcast(MutableBytes /*bytes*/, int /*from*/) override {
    return std::make_unique<Arrived>();
  }
  std::unique_ptr<Transfer> start_send(Bytes /*bytes*/, int to) override { nobody(to); }
  std::unique_ptr<Transfer> start_receive(MutableBytes /*bytes*/, int from) override { nobody(from); }
  void abandon(int /*exit_code*/) override {}

 private:
  static std::unique_ptr<Transfer> copied(Bytes from, MutableBytes to) {
    std::memcpy(to.data(), from.data(), from.size());
    return std::make_unique<Arrived>();
  }
  [[noreturn]] static void nobody(int rank) {
    fail(ErrorKind::internal, "ranks: a message to rank {} in a world of one", rank);
  }
};

}  // namespace

void ProcessGroup::wait(Transfer& transfer) const {
  std::optional<Clock::time_point> asked_to_end;
  for (int poll = 0; !transfer.finished(); ++poll) {
    if (poll < kEagerPolls) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kPause);
    }
    if (interruption_ == nullptr || !*interruption_) continue;
    if (!asked_to_end) asked_to_end = Clock::now();
    if (Clock::now() - *asked_to_end > kLastPatience) {
      fail(ErrorKind::cancelled,
           "rank {} of {} was asked to end while it waited for the others: one of them died, or mpirun was "
           "stopped",
           rank(), size());
    }
  }
}

void ProcessGroup::barrier() { (void)sum(0.0); }

void ProcessGroup::broadcast(MutableBytes bytes, int from) {
  constexpr std::size_t kMostAtOnce = 64U << 20U;  // MPI counts in int
  for (std::size_t begin = 0; begin < bytes.size(); begin += kMostAtOnce) {
    wait(*start_broadcast(bytes.subspan(begin, std::min(kMostAtOnce, bytes.size() - begin)), from));
  }
}

std::vector<double> ProcessGroup::all_gather(std::span<const double> own) {
  std::vector<double> all(own.size() * static_cast<std::size_t>(size()));
  wait(*start_all_gather(std::as_bytes(own), std::as_writable_bytes(std::span(all))));
  return all;
}

void ProcessGroup::all_reduce_sum(std::span<double> values) {
  const std::vector<double> all = all_gather(values);
  std::ranges::fill(values, 0.0);
  for (std::size_t i = 0; i < all.size(); ++i) values[i % values.size()] += all[i];
}

double ProcessGroup::sum(double value) {
  all_reduce_sum({&value, 1});
  return value;
}

void ProcessGroup::together(const std::function<void()>& part) {
  std::exception_ptr error;
  try {
    part();
  } catch (...) {
    error = std::current_exception();
  }
  const double failed = error ? 1.0 : 0.0;
  const std::vector<double> all = all_gather({&failed, 1});
  const auto first = std::ranges::find(all, 1.0);
  if (first == all.end()) return;
  ended_together_ = true;
  if (first - all.begin() == rank()) std::rethrow_exception(error);
  fail(ErrorKind::cancelled, "rank {} says why", first - all.begin());
}

void ProcessGroup::fail_together(const std::exception_ptr& error) {
  ended_together_ = true;
  if (is_first()) std::rethrow_exception(error);
  fail(ErrorKind::cancelled, "rank 0 says why");
}

std::unique_ptr<ProcessGroup> world_of_one() { return std::make_unique<WorldOfOne>(); }

}  // namespace tessera::train
