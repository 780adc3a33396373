// The definition of softmax attention, computed as it is written: the reference for the faster forms, and the
// form that training starts from.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/attention.h"
#include "ops/attention_check.h"
#include "ops/backward.h"
#include "ops/check.h"

namespace tessera::ops {
namespace {

struct Heads {
  const float* values;
  std::int64_t token_stride;
  std::int64_t head_dim;

  const float* row(std::int64_t token, std::int64_t head) const {
    return values + token * token_stride + head * head_dim;
  }
};

float dot(const float* a, const float* b, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += double{a[i]} * double{b[i]};
  return static_cast<float>(sum);
}

// One query row on the keys of tokens [first, last].
void attend(const float* query, const Heads& keys, const Heads& values, std::int64_t head, std::int64_t first,
            std::int64_t last, const AttentionParameters& parameters, float* output) {
  const auto& table = kernels::active();
  std::vector<float> scores;
  for (std::int64_t s = first; s <= last; ++s) {
    scores.push_back(dot(query, keys.row(s, head), keys.head_dim) * parameters.scale);
  }
  const auto count = static_cast<std::int64_t>(scores.size());
  if (parameters.logit_softcap > 0) table.softcap(scores.data(), parameters.logit_softcap, count);
  table.softmax(scores.data(), count);
  std::vector<double> mixture(static_cast<std::size_t>(values.head_dim));
  for (std::int64_t s = first; s <= last; ++s) {
    const double probability = scores[static_cast<std::size_t>(s - first)];
    const float* value = values.row(s, head);
    for (std::size_t d = 0; d < mixture.size(); ++d) mixture[d] += probability * double{value[d]};
  }
  std::transform(mixture.begin(), mixture.end(), output, [](double sum) { return static_cast<float>(sum); });
}

}  // namespace

Tensor dense_attention(const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                       const AttentionParameters& parameters) {
  expect_attention_inputs(q, k, v, batch, "dense_attention");
  expect_dim(q, 0, batch.token_count(), "dense_attention: q");
  if (!parameters.patterns.empty()) {
    fail(ErrorKind::internal, "dense_attention: a pattern, which sparse_attention() knows");
  }
  const std::int64_t heads = q.dim(1);
  const std::int64_t group = heads / k.dim(1);
  const Heads queries{q.as<float>().data(), heads * q.dim(2), q.dim(2)};
  const Heads keys{k.as<float>().data(), k.dim(1) * k.dim(2), k.dim(2)};
  const Heads values{v.as<float>().data(), v.dim(1) * v.dim(2), v.dim(2)};
  Tensor y = Tensor::empty(q.shape());
  float* output = y.as_mutable<float>().data();
  for (std::int64_t n = 0; n < batch.sequence_count(); ++n) {
    const std::int64_t start = batch.query_start[static_cast<std::size_t>(n)];
    const std::int64_t stop = batch.query_start[static_cast<std::size_t>(n) + 1];
    thread_pool().parallel_for((stop - start) * heads, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t work = begin; work < end; ++work) {
        const std::int64_t token = start + work / heads;
        const std::int64_t head = work % heads;
        const std::int64_t window = parameters.sliding_window;
        const std::int64_t first = window > 0 ? std::max(start, token - window + 1) : start;
        attend(queries.row(token, head), keys, values, head / group, first, token, parameters,
               output + token * heads * q.dim(2) + head * q.dim(2));
      }
    });
  }
  if (autograd::Tape* tape = autograd::tape_for({&q, &k, &v})) {
    record_dense_attention(*tape, q, k, v, y, batch, parameters);
  }
  return y;
}

}  // namespace tessera::ops
