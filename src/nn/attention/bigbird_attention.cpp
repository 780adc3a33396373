#include "nn/attention/bigbird_attention.h"

#include "base/error.h"
#include "ops/sparse_attention.h"

namespace tessera::nn {

BigBirdAttention::BigBirdAttention(const AttentionPattern& pattern) : pattern_(pattern) {
  if (pattern.kind != PatternKind::bigbird || pattern.block < 1 || pattern.random_blocks < 0) {
    fail(ErrorKind::bad_usage,
         "bigbird: expected blocks of 1 token or more, and 0 or more of them at random, found {} and {}",
         pattern.block, pattern.random_blocks);
  }
}

Tensor BigBirdAttention::attend(int /*layer*/, const Tensor& q, const Tensor& k, const Tensor& v,
                                const RaggedBatch& batch, const ops::AttentionParameters& parameters) {
  ops::AttentionParameters sparse = parameters;
  sparse.patterns = {pattern_};
  return ops::sparse_attention(q, k, v, batch, sparse);
}

}  // namespace tessera::nn
