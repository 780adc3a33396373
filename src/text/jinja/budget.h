// What one rendering may use: steps, memory alive at once, output, nesting. Every allocation and every step
// of the interpreter goes through here, so that a hostile template ends in an Error instead of a hang.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

namespace tessera::text::jinja {

class Budget {
 public:
  struct Limits {
    std::uint64_t steps;
    std::uint64_t memory_bytes;
    std::uint64_t output_bytes;
    std::uint64_t call_depth;
    std::uint64_t range;
  };
  explicit Budget(const Limits& limits) : limits_(limits) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  const Limits& limits() const { return limits_; }
  // Error limit when the steps are used up.
  void step(std::uint64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) out_of_steps();
  }
  // Takes `bytes` of memory; copying them costs steps too, since time is what steps stand for. Error limit.
  void take(std::uint64_t bytes) {
    copied_ += bytes;
    if (copied_ >= kBytesPerStep) {
      step(copied_ / kBytesPerStep);
      copied_ %= kBytesPerStep;
    }
    if (bytes > limits_.memory_bytes - memory_) out_of_memory();
    memory_ += bytes;
  }
  // Work on every one of `bytes`, some nanoseconds each: a step is worth about a hundred.
  void scan(std::uint64_t bytes) { step(bytes / 16); }
  void give_back(std::uint64_t bytes) noexcept { memory_ -= bytes; }

 private:
  static constexpr std::uint64_t kBytesPerStep = 128;
  [[noreturn]] void out_of_steps() const;
  [[noreturn]] void out_of_memory() const;

  Limits limits_;
  std::uint64_t steps_ = 0;
  std::uint64_t memory_ = 0;
  std::uint64_t copied_ = 0;
};

// Memory held by one value, given back with it. A null budget (constants of a template, the context) counts
// nothing.
class MemoryCharge {
 public:
  MemoryCharge() = default;
  MemoryCharge(Budget* budget, std::uint64_t bytes) : budget_(budget) { grow(bytes); }
  MemoryCharge(MemoryCharge&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryCharge& operator=(MemoryCharge&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MemoryCharge() {
    if (budget_ != nullptr) budget_->give_back(bytes_);
  }
  void grow(std::uint64_t bytes) {
    if (budget_ == nullptr) return;
    budget_->take(bytes);
    bytes_ += bytes;
  }

 private:
  Budget* budget_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace tessera::text::jinja
