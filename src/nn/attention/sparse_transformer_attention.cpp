#include "nn/attention/sparse_transformer_attention.h"

#include <utility>

#include "base/error.h"
#include "ops/sparse_attention.h"

namespace tessera::nn {
namespace {

void expect_possible(const AttentionPattern& pattern) {
  switch (pattern.kind) {
    case PatternKind::sliding_window:
      if (pattern.window >= 1 && pattern.causal) return;
      fail(ErrorKind::bad_usage, "sparse attention, local: expected a window of 1 or more, found {}",
           pattern.window);
    case PatternKind::strided:
    case PatternKind::fixed:
      if (pattern.stride >= 1 && pattern.columns >= 0 && pattern.columns <= pattern.stride) return;
      fail(ErrorKind::bad_usage,
           "sparse attention: expected a stride of 1 or more and at most as many columns, found {} and {}",
           pattern.stride, pattern.columns);
    default:
      fail(ErrorKind::bad_usage, "sparse attention: expected local, strided or fixed, found pattern {}",
           static_cast<int>(pattern.kind));
  }
}

}  // namespace

SparseTransformerAttention::SparseTransformerAttention(std::vector<AttentionPattern> patterns)
    : patterns_(std::move(patterns)) {
  if (patterns_.empty()) fail(ErrorKind::bad_usage, "sparse attention: expected a pattern, found none");
  for (const AttentionPattern& pattern : patterns_) expect_possible(pattern);
}

Tensor SparseTransformerAttention::attend(int /*layer*/, const Tensor& q, const Tensor& k, const Tensor& v,
                                          const RaggedBatch& batch,
                                          const ops::AttentionParameters& parameters) {
  ops::AttentionParameters sparse = parameters;
  sparse.patterns = patterns_;
  return ops::sparse_attention(q, k, v, batch, sparse);
}

}  // namespace tessera::nn
