#include "nn/attention/sliding_window_attention.h"

#include "base/error.h"
#include "ops/sparse_attention.h"

namespace tessera::nn {

SlidingWindowAttention::SlidingWindowAttention(std::int64_t window) : window_(window) {
  if (window < 1) fail(ErrorKind::bad_usage, "sliding window: expected 1 token or more, found {}", window);
}

Tensor SlidingWindowAttention::attend(int /*layer*/, const Tensor& q, const Tensor& k, const Tensor& v,
                                      const RaggedBatch& batch, const ops::AttentionParameters& parameters) {
  ops::AttentionParameters windowed = parameters;
  windowed.sliding_window = window_;
  windowed.patterns.clear();
  return ops::sparse_attention(q, k, v, batch, windowed);
}

}  // namespace tessera::nn
