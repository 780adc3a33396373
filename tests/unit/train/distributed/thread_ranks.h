// Ranks as threads of one process: a ProcessGroup that needs no MPI, for tests.
#pragma once
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "train/distributed/process_group.h"

namespace tessera::train::testing {

// What the ranks of one world have posted.
class ThreadWorld {
 public:
  explicit ThreadWorld(int size) : size_(size) {}
  int size() const { return size_; }

  void post(const std::string& what, int rank, ProcessGroup::Bytes bytes) {
    const std::lock_guard lock(mutex_);
    posted_[what].emplace(rank, std::vector(bytes.begin(), bytes.end()));
  }
  // What `from` posted; false: not yet.
  bool read(const std::string& what, int from, std::vector<std::byte>& bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = posted_.find(what);
    if (found == posted_.end() || !found->second.contains(from)) return false;
    bytes = found->second.at(from);
    return true;
  }

 private:
  int size_;
  std::mutex mutex_;
  std::map<std::string, std::map<int, std::vector<std::byte>>> posted_;
};

class ThreadTransfer final : public Transfer {
 public:
  explicit ThreadTransfer(std::function<bool()> arrive) : arrive_(std::move(arrive)) {}
  bool finished() override { return done_ = done_ || arrive_(); }

 private:
  std::function<bool()> arrive_;
  bool done_ = false;
};

class ThreadRank : public ProcessGroup {
 public:
  ThreadRank(ThreadWorld& world, int rank) : world_(&world), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return world_->size(); }
  int threads() const override { return 0; }
  int machines() const override { return 1; }
  void abandon(int /*exit_code*/) override {}

  std::unique_ptr<Transfer> start_all_to_all(Bytes out, MutableBytes in) override {
    const std::size_t part = out.size() / static_cast<std::size_t>(size());
    return collect(out, in, part, static_cast<std::size_t>(rank_) * part);
  }
  std::unique_ptr<Transfer> start_all_gather(Bytes own, MutableBytes in) override {
    return collect(own, in, own.size(), 0);
  }
  std::unique_ptr<Transfer> start_broadcast(MutableBytes bytes, int from) override {
    const std::string name = "collective " + std::to_string(collectives_++);
    if (rank_ == from) world_->post(name, rank_, bytes);
    return receive(name, bytes, from);
  }
  std::unique_ptr<Transfer> start_send(Bytes bytes, int to) override {
    world_->post(message_name(rank_, to, sent_[to]++), rank_, bytes);
    return std::make_unique<ThreadTransfer>([] { return true; });
  }
  std::unique_ptr<Transfer> start_receive(MutableBytes bytes, int from) override {
    return receive(message_name(from, rank_, received_[from]++), bytes, from);
  }

 private:
  static std::string message_name(int from, int to, int number) {
    return "message " + std::to_string(from) + " " + std::to_string(to) + " " + std::to_string(number);
  }
  std::unique_ptr<Transfer> receive(const std::string& name, MutableBytes bytes, int from) {
    return std::make_unique<ThreadTransfer>([this, name, bytes, from] {
      std::vector<std::byte> found;
      if (!world_->read(name, from, found)) return false;
      if (found.size() != bytes.size()) throw std::logic_error("ranks disagree about a size");
      std::memcpy(bytes.data(), found.data(), found.size());
      return true;
    });
  }
  // in[r] = [offset, offset + part) of what rank r posted.
  std::unique_ptr<Transfer> collect(Bytes own, MutableBytes in, std::size_t part, std::size_t offset) {
    const std::string name = "collective " + std::to_string(collectives_++);
    const std::size_t size = own.size();
    world_->post(name, rank_, own);
    return std::make_unique<ThreadTransfer>([this, name, in, part, offset, size] {
      std::vector<std::vector<std::byte>> all(static_cast<std::size_t>(world_->size()));
      for (std::size_t rank = 0; rank < all.size(); ++rank) {
        if (!world_->read(name, static_cast<int>(rank), all[rank])) return false;
        if (all[rank].size() != size) throw std::logic_error("ranks disagree about a size");
      }
      for (std::size_t rank = 0; rank < all.size(); ++rank) {
        std::memcpy(in.data() + rank * part, all[rank].data() + offset, part);
      }
      return true;
    });
  }

  ThreadWorld* world_;
  int rank_;
  int collectives_ = 0;
  std::map<int, int> sent_, received_;
};

// Runs body(rank's group) on `size` threads; rethrows the first rank's exception.
inline void on_ranks(int size, const std::function<void(ProcessGroup&)>& body) {
  ThreadWorld world(size);
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(size));
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        try {
          ThreadRank group(world, rank);
          body(group);
        } catch (...) {
          errors[static_cast<std::size_t>(rank)] = std::current_exception();
        }
      });
    }
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace tessera::train::testing
