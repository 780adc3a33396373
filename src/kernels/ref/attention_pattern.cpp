#include "kernels/ref/attention_pattern.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/split_mix64.h"

namespace tessera::kernels::ref {
namespace {

std::int64_t blocks_of(const AttentionPattern& pattern, std::int64_t T) {
  return (T + pattern.block - 1) / pattern.block;
}

// Too short to be sparse: the window, the globals and the random blocks would cover nearly everything.
bool bigbird_is_full(const AttentionPattern& pattern, std::int64_t T) {
  return T <= (5 + 2 * pattern.random_blocks) * pattern.block;
}

bool is_window_or_global(std::int64_t row, std::int64_t column, std::int64_t blocks) {
  const bool global = row == 0 || row == blocks - 1 || column == 0 || column == blocks - 1;
  return global || std::abs(row - column) <= 1;
}

bool bigbird_attends(const AttentionPattern& pattern, std::int64_t q, std::int64_t k, std::int64_t T) {
  if (bigbird_is_full(pattern, T)) return true;
  const std::int64_t row = q / pattern.block;
  const std::int64_t column = k / pattern.block;
  const std::int64_t blocks = blocks_of(pattern, T);
  if (is_window_or_global(row, column, blocks)) return true;
  const auto random = random_blocks_of(pattern, row, blocks);
  return std::ranges::find(random, column) != random.end();
}

// Appends [begin, end) cut to [0, limit), joined to the last range where they touch.
void append(std::vector<KeyRange>& ranges, std::int64_t begin, std::int64_t end, std::int64_t limit) {
  begin = std::max<std::int64_t>(begin, 0);
  end = std::min(end, limit);
  if (begin >= end) return;
  if (!ranges.empty() && begin <= ranges.back().end) {
    ranges.back().end = std::max(ranges.back().end, end);
  } else {
    ranges.push_back({begin, end});
  }
}

std::vector<KeyRange> bigbird_keys(const AttentionPattern& pattern, std::int64_t q, std::int64_t T,
                                   std::int64_t limit) {
  std::vector<KeyRange> ranges;
  const std::int64_t blocks = blocks_of(pattern, T);
  const std::int64_t row = q / pattern.block;
  if (bigbird_is_full(pattern, T) || row == 0 || row == blocks - 1) {
    append(ranges, 0, T, limit);
    return ranges;
  }
  std::vector<std::int64_t> columns = random_blocks_of(pattern, row, blocks);
  columns.insert(columns.end(), {0, row - 1, row, row + 1, blocks - 1});
  std::ranges::sort(columns);
  for (const std::int64_t column : columns) {
    append(ranges, column * pattern.block, std::min((column + 1) * pattern.block, T), limit);
  }
  return ranges;
}

double dot(std::span<const double> left, std::int64_t left_row, std::span<const double> right,
           std::int64_t right_row, std::int64_t width) {
  double sum = 0;
  for (std::int64_t d = 0; d < width; ++d) {
    sum += left[static_cast<std::size_t>(left_row * width + d)] *
           right[static_cast<std::size_t>(right_row * width + d)];
  }
  return sum;
}

}  // namespace

bool attends(const AttentionPattern& pattern, std::int64_t q, std::int64_t k, std::int64_t T) {
  const bool past = k <= q;
  switch (pattern.kind) {
    case PatternKind::full:
      return past || !pattern.causal;
    case PatternKind::sliding_window:
      return pattern.causal ? q - pattern.window < k && past : std::abs(q - k) <= pattern.window;
    case PatternKind::strided:
      return past && (q - k) % pattern.stride == 0;
    case PatternKind::fixed:
      return past && (k / pattern.stride == q / pattern.stride ||
                      k % pattern.stride >= pattern.stride - pattern.columns);
    case PatternKind::bigbird:
      return (past || !pattern.causal) && bigbird_attends(pattern, q, k, T);
  }
  return false;
}

std::vector<KeyRange> visible_keys(const AttentionPattern& pattern, std::int64_t q, std::int64_t T) {
  std::vector<KeyRange> ranges;
  const std::int64_t limit = pattern.causal ? std::min(q + 1, T) : T;
  switch (pattern.kind) {
    case PatternKind::full:
      append(ranges, 0, T, limit);
      break;
    case PatternKind::sliding_window:
      append(ranges, q - pattern.window + (pattern.causal ? 1 : 0), q + pattern.window + 1, limit);
      break;
    case PatternKind::strided:
      for (std::int64_t k = q % pattern.stride; k <= q; k += pattern.stride) append(ranges, k, k + 1, q + 1);
      break;
    case PatternKind::fixed: {
      const std::int64_t own = q / pattern.stride * pattern.stride;
      for (std::int64_t begin = 0; begin < own; begin += pattern.stride) {
        append(ranges, std::max(begin, begin + pattern.stride - pattern.columns), begin + pattern.stride,
               q + 1);
      }
      append(ranges, own, q + 1, q + 1);
      break;
    }
    case PatternKind::bigbird:
      return bigbird_keys(pattern, q, T, limit);
  }
  return ranges;
}

std::vector<std::int64_t> random_blocks_of(const AttentionPattern& pattern, std::int64_t row,
                                           std::int64_t blocks) {
  std::vector<std::int64_t> candidates;
  for (std::int64_t column = 0; column < blocks; ++column) {
    if (!is_window_or_global(row, column, blocks)) candidates.push_back(column);
  }
  const auto wanted =
      std::min<std::size_t>(candidates.size(), static_cast<std::size_t>(pattern.random_blocks));
  const std::uint64_t key = split_mix64(split_mix64(pattern.seed) ^ static_cast<std::uint64_t>(row));
  for (std::size_t i = 0; i < wanted; ++i) {  // the first steps of a Fisher-Yates shuffle
    const std::size_t other = i + split_mix64(key ^ i) % (candidates.size() - i);
    std::swap(candidates[i], candidates[other]);
  }
  candidates.resize(wanted);
  std::ranges::sort(candidates);
  return candidates;
}

void pattern_attention_masked(const AttentionPattern& pattern, std::int64_t T, std::int64_t key_dim,
                              std::int64_t value_dim, double scale, std::span<const double> queries,
                              std::span<const double> keys, std::span<const double> values,
                              std::span<double> outputs) {
  std::ranges::fill(outputs, 0.0);
  std::vector<double> scores(static_cast<std::size_t>(T));
  for (std::int64_t q = 0; q < T; ++q) {
    double most = -std::numeric_limits<double>::infinity();
    for (std::int64_t k = 0; k < T; ++k) {
      const bool seen = attends(pattern, q, k, T);
      scores[static_cast<std::size_t>(k)] =
          seen ? scale * dot(queries, q, keys, k, key_dim) : -std::numeric_limits<double>::infinity();
      most = std::max(most, scores[static_cast<std::size_t>(k)]);
    }
    if (std::isinf(most)) continue;
    double total = 0;
    for (double& score : scores) total += score = std::exp(score - most);
    for (std::int64_t k = 0; k < T; ++k) {
      for (std::int64_t e = 0; e < value_dim; ++e) {
        outputs[static_cast<std::size_t>(q * value_dim + e)] +=
            scores[static_cast<std::size_t>(k)] / total * values[static_cast<std::size_t>(k * value_dim + e)];
      }
    }
  }
}

// The online softmax of Milakov and Gimelshein 2018: when a greater score comes, what was summed is scaled
// down.
std::int64_t pattern_attention_sparse(const AttentionPattern& pattern, std::int64_t T, std::int64_t key_dim,
                                      std::int64_t value_dim, double scale, std::span<const double> queries,
                                      std::span<const double> keys, std::span<const double> values,
                                      std::span<double> outputs) {
  std::ranges::fill(outputs, 0.0);
  std::int64_t pairs = 0;
  for (std::int64_t q = 0; q < T; ++q) {
    const auto output =
        outputs.subspan(static_cast<std::size_t>(q * value_dim), static_cast<std::size_t>(value_dim));
    double most = -std::numeric_limits<double>::infinity();
    double total = 0;
    for (const KeyRange& range : visible_keys(pattern, q, T)) {
      for (std::int64_t k = range.begin; k < range.end; ++k, ++pairs) {
        const double score = scale * dot(queries, q, keys, k, key_dim);
        const double before = std::exp(most - std::max(most, score));
        most = std::max(most, score);
        const double weight = std::exp(score - most);
        total = total * before + weight;
        for (std::int64_t e = 0; e < value_dim; ++e) {
          double& element = output[static_cast<std::size_t>(e)];
          element = element * before + weight * values[static_cast<std::size_t>(k * value_dim + e)];
        }
      }
    }
    if (total > 0) std::ranges::for_each(output, [total](double& element) { element /= total; });
  }
  return pairs;
}

}  // namespace tessera::kernels::ref
