// Attention of a few query rows on one key/value head of the paged cache, as defined: all scores, softmax,
// mixture.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/ref/key_value.h"
#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

// The group of the keys (values) that holds key `index` of the sequence.
const std::byte* group_of(const AttentionArguments& arguments, const std::byte* base,
                          std::int64_t block_stride, std::int64_t group_bytes, std::int64_t index) {
  const std::int64_t block = arguments.block_table[index / arguments.block_size];
  return base + block * block_stride + index % arguments.block_size / kKeyGroup * group_bytes;
}

void load_key_row(const AttentionArguments& arguments, std::int64_t index, std::vector<float>& row) {
  const DType dtype = arguments.key_dtype;
  const std::byte* group = group_of(arguments, arguments.keys, arguments.key_block_stride,
                                    key_group_bytes(dtype, arguments.head_dim), index);
  for (std::int64_t d = 0; d < arguments.head_dim; ++d) {
    row[static_cast<std::size_t>(d)] = load_key(dtype, arguments.head_dim, group, index % kKeyGroup, d);
  }
}

void load_value_row(const AttentionArguments& arguments, std::int64_t index, std::vector<float>& row) {
  const DType dtype = arguments.value_dtype;
  const std::byte* group = group_of(arguments, arguments.values, arguments.value_block_stride,
                                    value_group_bytes(dtype, arguments.head_dim), index);
  for (std::int64_t d = 0; d < arguments.head_dim; ++d) {
    row[static_cast<std::size_t>(d)] = load_value(dtype, arguments.head_dim, group, index % kKeyGroup, d);
  }
}

// softmax(q·k scale, capped, over the visible keys) v: Vaswani et al. 2017, equation 1; the cap is Gemma 2's,
// the window Mistral's.
void attend(const AttentionArguments& arguments, const float* query, std::int64_t position, float* output) {
  const std::int64_t first =
      arguments.sliding_window > 0 ? std::max<std::int64_t>(0, position - arguments.sliding_window + 1) : 0;
  const auto dimensions = static_cast<std::size_t>(arguments.head_dim);
  std::vector<float> row(dimensions);
  std::vector<double> scores;
  double maximum = -INFINITY;
  for (std::int64_t key = first; key <= position; ++key) {
    load_key_row(arguments, key, row);
    double score = 0;
    for (std::size_t d = 0; d < dimensions; ++d) score += double{query[d]} * double{row[d]};
    score *= double{arguments.scale};
    const double cap = arguments.logit_softcap;
    if (cap > 0) score = cap * std::tanh(score / cap);
    maximum = std::max(maximum, score);
    scores.push_back(score);
  }
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - maximum);
  std::vector<double> mixture(dimensions);
  for (std::int64_t key = first; key <= position; ++key) {
    load_value_row(arguments, key, row);
    const double probability = scores[static_cast<std::size_t>(key - first)] / sum;
    for (std::size_t d = 0; d < dimensions; ++d) mixture[d] += probability * double{row[d]};
  }
  for (std::size_t d = 0; d < dimensions; ++d) output[d] = static_cast<float>(mixture[d]);
}

}  // namespace

void attention(const AttentionArguments& arguments) {
  for (std::int64_t token = 0; token < arguments.tokens; ++token) {
    for (std::int64_t head = 0; head < arguments.group_size; ++head) {
      const std::int64_t offset = token * arguments.token_stride + head * arguments.head_dim;
      attend(arguments, arguments.query + offset, arguments.first_position + token,
             arguments.output + offset);
    }
  }
}

}  // namespace tessera::kernels::ref
