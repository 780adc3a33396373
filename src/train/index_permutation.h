// A pseudo-random order of 0..n-1 in which any place can be asked for at once: no table of n numbers to make
// or to store, so that a shuffled epoch resumes anywhere.
#pragma once
#include <array>
#include <cstdint>

namespace tessera::train {

// A Feistel network over a grid of about sqrt(n) x sqrt(n) places (Black and Rogaway, "Ciphers with Arbitrary
// Finite Domains", 2002); places beyond n are walked on. Integers only: every machine gives the same order.
class IndexPermutation {
 public:
  IndexPermutation(std::uint64_t count, std::uint64_t seed, std::uint64_t epoch);

  // Which of 0..count-1 stands at `place` < count.
  std::uint64_t operator()(std::uint64_t place) const;

 private:
  static constexpr int kRounds = 8;

  std::uint64_t count_;
  std::uint64_t rows_ = 1;  // rows_ * columns_ >= count_
  std::uint64_t columns_ = 1;
  std::array<std::uint64_t, kRounds> keys_{};
};

}  // namespace tessera::train
