#include "train/index_permutation.h"

#include <cmath>

#include "base/error.h"

namespace tessera::train {
namespace {

constexpr std::uint64_t kMostIndices = std::uint64_t{1} << 62U;

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input changes half of the output.
std::uint64_t mix(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27U)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31U);
}

// The square root rounded up; std::sqrt only starts the search.
std::uint64_t square_root_up(std::uint64_t value) {
  auto root = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(value)));
  while (root * root < value) ++root;
  while (root > 1 && (root - 1) * (root - 1) >= value) --root;
  return root;
}

}  // namespace

IndexPermutation::IndexPermutation(std::uint64_t count, std::uint64_t seed, std::uint64_t epoch)
    : count_(count) {
  if (count > kMostIndices)
    fail(ErrorKind::limit, "expected at most {} indices to shuffle, found {}", kMostIndices, count);
  if (count > 0) {
    rows_ = square_root_up(count);
    columns_ = (count + rows_ - 1) / rows_;
  }
  std::uint64_t key = mix(mix(seed) ^ epoch);
  for (std::uint64_t& round_key : keys_) round_key = key = mix(key);
}

std::uint64_t IndexPermutation::operator()(std::uint64_t place) const {
  if (place >= count_) fail(ErrorKind::internal, "expected a place below {}, found {}", count_, place);
  std::uint64_t index = place;
  do {
    std::uint64_t row = index / columns_;
    std::uint64_t column = index % columns_;
    for (int round = 0; round < kRounds; round += 2) {
      row = (row + mix(keys_[round] ^ column) % rows_) % rows_;
      column = (column + mix(keys_[round + 1] ^ row) % columns_) % columns_;
    }
    index = row * columns_ + column;
  } while (index >= count_);
  return index;
}

}  // namespace tessera::train
