#include "train/index_permutation.h"

#include <cmath>

#include "base/error.h"
#include "base/split_mix64.h"

namespace tessera::train {
namespace {

constexpr std::uint64_t kMostIndices = std::uint64_t{1} << 62U;

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
  std::uint64_t key = split_mix64(split_mix64(seed) ^ epoch);
  for (std::uint64_t& round_key : keys_) round_key = key = split_mix64(key);
}

std::uint64_t IndexPermutation::operator()(std::uint64_t place) const {
  if (place >= count_) fail(ErrorKind::internal, "expected a place below {}, found {}", count_, place);
  std::uint64_t index = place;
  do {
    std::uint64_t row = index / columns_;
    std::uint64_t column = index % columns_;
    for (int round = 0; round < kRounds; round += 2) {
      row = (row + split_mix64(keys_[round] ^ column) % rows_) % rows_;
      column = (column + split_mix64(keys_[round + 1] ^ row) % columns_) % columns_;
    }
    index = row * columns_ + column;
  } while (index >= count_);
  return index;
}

}  // namespace tessera::train
