#include "kernels/ref/sparse_attention.h"

#include <cmath>
#include <vector>

namespace tessera::kernels::ref {
namespace {

// The keys that row q of a tile sees.
std::vector<std::int64_t> keys_seen(const SparseAttentionArguments& a, const QueryTile& tile,
                                    std::int64_t q) {
  std::vector<std::int64_t> keys;
  for (std::int64_t run = tile.run_begin; run < tile.run_end; ++run) {
    for (std::int64_t k = a.runs[run].begin; k < a.runs[run].end; k += tile.step) {
      if (q - a.past <= k && k <= q + a.future) keys.push_back(k);
    }
  }
  return keys;
}

double dot(const float* a, const float* b, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

double score_of(const SparseAttentionArguments& a, const float* query, std::int64_t k) {
  const double score = dot(query, a.key + k * a.key_value_stride, a.head_dim) * double{a.scale};
  const double cap = a.logit_softcap;
  return cap > 0 ? cap * std::tanh(score / cap) : score;
}

template <typename Row>
void for_each_row(const SparseAttentionArguments& a, Row row) {
  for (std::int64_t index = a.tile_begin; index < a.tile_end; ++index) {
    const QueryTile& tile = a.tiles[index];
    for (std::int64_t i = 0; i < tile.rows; ++i) {
      const std::int64_t q = tile.first_row + i * tile.step;
      const std::vector<std::int64_t> keys = keys_seen(a, tile, q);
      for (std::int64_t head = a.head_begin; head < a.head_end; ++head) row(q, head, keys);
    }
  }
}

}  // namespace

void sparse_attention(const SparseAttentionArguments& a) {
  for_each_row(a, [&a](std::int64_t q, std::int64_t head, const std::vector<std::int64_t>& keys) {
    const std::int64_t at = q * a.query_stride + head * a.head_dim;
    std::vector<double> scores;
    double top = -INFINITY;
    for (const std::int64_t k : keys) {
      scores.push_back(score_of(a, a.query + at, k));
      top = std::max(top, scores.back());
    }
    double total = 0;
    for (const double score : scores) total += std::exp(score - top);
    std::vector<double> mixture(static_cast<std::size_t>(a.head_dim));
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const float* value = a.value + keys[i] * a.key_value_stride;
      const double p = std::exp(scores[i] - top) / total;
      for (std::size_t d = 0; d < mixture.size(); ++d) mixture[d] += p * double{value[d]};
    }
    for (std::size_t d = 0; d < mixture.size(); ++d)
      a.output[at + static_cast<std::int64_t>(d)] = static_cast<float>(mixture[d]);
    a.log_sums[q * a.log_sum_stride + head] = static_cast<float>(top + std::log(total));
  });
}

void sparse_attention_gradient(const SparseAttentionArguments& a) {
  for_each_row(a, [&a](std::int64_t q, std::int64_t head, const std::vector<std::int64_t>& keys) {
    const std::int64_t at = q * a.query_stride + head * a.head_dim;
    const double log_sum = a.log_sums[q * a.log_sum_stride + head];
    const double delta = dot(a.doutput + at, a.output + at, a.head_dim);
    std::vector<double> dq(static_cast<std::size_t>(a.head_dim));
    for (const std::int64_t k : keys) {
      const std::int64_t key_at = k * a.key_value_stride;
      const double score = score_of(a, a.query + at, k);
      const double p = std::exp(score - log_sum);
      double dscore = p * (dot(a.doutput + at, a.value + key_at, a.head_dim) - delta) * double{a.scale};
      const double cap = a.logit_softcap;
      if (cap > 0) dscore *= 1.0 - (score / cap) * (score / cap);
      for (std::int64_t d = 0; d < a.head_dim; ++d) {
        a.dvalue[key_at + d] += static_cast<float>(p * double{a.doutput[at + d]});
        a.dkey[key_at + d] += static_cast<float>(dscore * double{a.query[at + d]});
        dq[static_cast<std::size_t>(d)] += dscore * double{a.key[key_at + d]};
      }
    }
    for (std::size_t d = 0; d < dq.size(); ++d) {
      a.dquery[at + static_cast<std::int64_t>(d)] = static_cast<float>(dq[d]);
    }
  });
}

}  // namespace tessera::kernels::ref
