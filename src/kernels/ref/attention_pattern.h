// Which keys a query may see: the patterns of sparse attention as definitions, and softmax attention over
// them.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/attention_pattern.h"

namespace tessera::kernels::ref {

// Keys [begin, end).
struct KeyRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool operator==(const KeyRange&) const = default;
};

// Whether query q sees key k in a text of T tokens: the definition itself.
bool attends(const AttentionPattern& pattern, std::int64_t q, std::int64_t k, std::int64_t T);
// The same as ranges, ascending, apart from each other, none empty: what kernels go over. O(ranges) time, but
// for bigbird's choice.
std::vector<KeyRange> visible_keys(const AttentionPattern& pattern, std::int64_t q, std::int64_t T);
// The r random blocks of row `row` of `blocks` blocks, ascending: of those that neither window nor globals
// give, by a shuffle that seed and row decide; all of them when there are no more than r.
std::vector<std::int64_t> random_blocks_of(const AttentionPattern& pattern, std::int64_t row,
                                           std::int64_t blocks);

// softmax over the visible keys of scale q . k, times v. One head: queries and keys [T, key_dim], values and
// outputs [T, value_dim]. A query that sees nothing gives zeros. By the definition, every pair asked for:
// O(T^2).
void pattern_attention_masked(const AttentionPattern& pattern, std::int64_t T, std::int64_t key_dim,
                              std::int64_t value_dim, double scale, std::span<const double> queries,
                              std::span<const double> keys, std::span<const double> values,
                              std::span<double> outputs);
// The same with the ranges and an online softmax: only visible pairs are touched. Returns how many.
std::int64_t pattern_attention_sparse(const AttentionPattern& pattern, std::int64_t T, std::int64_t key_dim,
                                      std::int64_t value_dim, double scale, std::span<const double> queries,
                                      std::span<const double> keys, std::span<const double> values,
                                      std::span<double> outputs);

}  // namespace tessera::kernels::ref
