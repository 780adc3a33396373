// Attention to the nearest keys alone, on the batch's own tokens: q sees k when q - W < k <= q (Beltagy et
// al. 2020; Jiang et al. 2023). docs/attention/sliding_window.md.
#pragma once
#include "nn/attention/attention_mechanism.h"

namespace tessera::nn {

class SlidingWindowAttention final : public AttentionMechanism {
 public:
  // Error bad_usage: a window below 1.
  explicit SlidingWindowAttention(std::int64_t window);
  Tensor attend(int layer, const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                const ops::AttentionParameters& parameters) override;

 private:
  std::int64_t window_;
};

}  // namespace tessera::nn
