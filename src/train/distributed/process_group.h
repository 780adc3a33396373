// The processes that train one model together, called ranks, and what they say to each other. A program that
// was started alone, or built without MPI, is a world of one.
#pragma once
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tessera::train {

// A message on its way while the caller computes. Its buffers must outlive it.
class Transfer {
 public:
  Transfer() = default;
  virtual ~Transfer() = default;
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  // Moves it on; true when all has arrived, and ever after. Error io when the connection is lost.
  virtual bool finished() = 0;
};

// Every rank calls the same functions with the same sizes in the same order. One thread of a rank at a time.
// Sums are taken in the order of ranks, so a world of one size gives the same bits every time and everywhere.
class ProcessGroup {
 public:
  using Bytes = std::span<const std::byte>;
  using MutableBytes = std::span<std::byte>;

  ProcessGroup() = default;
  virtual ~ProcessGroup() = default;
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  bool is_first() const { return rank() == 0; }
  // Threads for this rank, so that those of one machine share its cores; 0: no need to share.
  virtual int threads() const = 0;
  virtual int machines() const = 0;

  // `out` and `in` are size() parts of one length: part r of `out` goes to rank r, part r of `in` comes from
  // it.
  virtual std::unique_ptr<Transfer> start_all_to_all(Bytes out, MutableBytes in) = 0;
  // `in` is size() parts as long as `own`, by rank.
  virtual std::unique_ptr<Transfer> start_all_gather(Bytes own, MutableBytes in) = 0;
  virtual std::unique_ptr<Transfer> start_broadcast(MutableBytes bytes, int from) = 0;
  virtual std::unique_ptr<Transfer> start_send(Bytes bytes, int to) = 0;
  virtual std::unique_ptr<Transfer> start_receive(MutableBytes bytes, int from) = 0;
  // Ends every rank at once, for a program that cannot go on; may not return.
  virtual void abandon(int exit_code) = 0;

  // Error io as Transfer::finished(); cancelled when `interruption` is set and the others do not answer.
  void wait(Transfer& transfer) const;
  void barrier();
  void broadcast(MutableBytes bytes, int from);
  // Everybody's values one after another, by rank.
  std::vector<double> all_gather(std::span<const double> own);
  // values[i] becomes its sum over the ranks.
  void all_reduce_sum(std::span<double> values);
  double sum(double value);

  // Runs `part` on every rank; it may not call this group. When it throws anywhere, every rank throws: the
  // first that failed its own error, the others Error cancelled. So nobody waits for one that is gone.
  void together(const std::function<void()>& part);
  // For an error that every rank meets alike: rank 0 throws it, the others Error cancelled.
  [[noreturn]] void fail_together(const std::exception_ptr& error);
  // Every rank has left the work for the same reason, and can leave the program in order.
  bool ended_together() const { return ended_together_; }

  // Looked at while waiting: somebody asked this process to end. Must outlive the group.
  void set_interruption(const std::atomic<bool>* flag) { interruption_ = flag; }

 private:
  const std::atomic<bool>* interruption_ = nullptr;
  bool ended_together_ = false;
};

std::unique_ptr<ProcessGroup> world_of_one();

// The ranks among which mpirun started this process; a world of one when it was started alone. Error
// unsupported when this build knows no MPI.
std::unique_ptr<ProcessGroup> join_process_group();
// "Open MPI v4.1.4"; empty: this build knows none.
std::string mpi_version();

}  // namespace tessera::train
