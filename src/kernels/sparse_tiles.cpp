#include "kernels/sparse_tiles.h"

#include <algorithm>

#include "kernels/ref/attention_pattern.h"

namespace tessera::kernels {
namespace {

// Greater than any distance of two tokens, and far from overflow.
constexpr std::int64_t kUnlimited = std::int64_t{1} << 40;

class Builder {
 public:
  Builder(const AttentionPattern& pattern, std::int64_t T) : pattern_(pattern), T_(T) {
    const bool window = pattern.kind == PatternKind::sliding_window;
    made_.past = kUnlimited;
    if (window) made_.past = pattern.window - (pattern.causal ? 1 : 0);
    const bool causal =
        pattern.causal || pattern.kind == PatternKind::strided || pattern.kind == PatternKind::fixed;
    made_.future = window ? pattern.window : kUnlimited;
    if (causal) made_.future = 0;
  }

  // Rows whose runs are alike but for where they end: [begin, end) in tiles.
  void rows(std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; row += kSparseTile) {
      const std::int64_t last = std::min(end, row + kSparseTile) - 1;
      const auto run_begin = run_count();
      for (const auto& range : ref::visible_keys(pattern_, last, T_)) {
        made_.runs.push_back({range.begin, range.end});
      }
      // A window's first row sees further back than the last.
      if (pattern_.kind == PatternKind::sliding_window) {
        made_.runs.back().begin = ref::visible_keys(pattern_, row, T_).front().begin;
      }
      made_.tiles.push_back({row, last + 1 - row, 1, run_begin, run_count()});
    }
  }

  // Rows in [begin, end) of each residue of the stride: among themselves they are dense and causal.
  void residues(std::int64_t begin, std::int64_t end) {
    const std::int64_t stride = pattern_.stride;
    for (std::int64_t first = begin; first < std::min(end, begin + stride); ++first) {
      for (std::int64_t row = first; row < end; row += kSparseTile * stride) {
        const std::int64_t rows = std::min(kSparseTile, (end - row + stride - 1) / stride);
        made_.tiles.push_back({row, rows, stride, run_count(), run_count() + 1});
        made_.runs.push_back({row % stride, row + (rows - 1) * stride + 1});
      }
    }
  }

  SparseTiles take() { return std::move(made_); }

 private:
  std::int64_t run_count() const { return static_cast<std::int64_t>(made_.runs.size()); }

  AttentionPattern pattern_;
  std::int64_t T_;
  SparseTiles made_;
};

// Rows of this many tokens, counted from 0, share their runs.
std::int64_t rows_alike(const AttentionPattern& pattern) {
  if (pattern.kind == PatternKind::fixed) return pattern.stride;
  if (pattern.kind == PatternKind::bigbird) return pattern.block;
  return kUnlimited;
}

}  // namespace

std::int64_t SparseTiles::keys_of(const QueryTile& tile) const {
  std::int64_t keys = 0;
  for (std::int64_t run = tile.run_begin; run < tile.run_end; ++run) {
    const KeyRun& range = runs[static_cast<std::size_t>(run)];
    keys += (range.end - range.begin + tile.step - 1) / tile.step;
  }
  return keys;
}

SparseTiles sparse_tiles(const AttentionPattern& pattern, std::int64_t row_begin, std::int64_t row_end,
                         std::int64_t T) {
  // Keys behind the text's end are no keys: only where nobody looks ahead may the length be another.
  const std::int64_t length = pattern.causal ? std::max(T, pattern.length) : T;
  Builder builder(pattern, length);
  if (pattern.kind == PatternKind::strided) {
    builder.residues(row_begin, row_end);
    return builder.take();
  }
  const std::int64_t alike = rows_alike(pattern);
  for (std::int64_t begin = row_begin; begin < row_end;) {
    const std::int64_t end = std::min(row_end, (begin / alike + 1) * alike);
    builder.rows(begin, end);
    begin = end;
  }
  return builder.take();
}

}  // namespace tessera::kernels
