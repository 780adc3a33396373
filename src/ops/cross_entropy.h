// The training loss: the head's linear layer and softmax cross-entropy in one, a chunk of rows at a time, so
// that the logits [N, V] are never stored.
#pragma once
#include <cstdint>
#include <span>

#include "ops/weight_matrix.h"
#include "tensor/tensor.h"

namespace tessera::ops {

inline constexpr std::int32_t kIgnoredTarget = -100;  // as PyTorch's ignore_index

struct CrossEntropyOptions {
  float label_smoothing = 0.0F;  // Szegedy et al. 2016, section 7
  float logit_softcap = 0.0F;    // 0: none; c: logits are c tanh(logits / c) (Gemma 2)
  // What the sum over rows is divided by; 0: the number of rows that count. The batches of one accumulated
  // step are divided by their common number.
  std::int64_t normalizer = 0;
  // Gradients are computed with the loss, while its logits are there, instead of from logits computed again
  // (Hsu et al. 2024, Liger). For a caller whose walk back begins at this loss with a seed of 1.
  bool gradient_with_loss = false;
};

// hidden [N, C] f32, weight [V, C] f32, targets [N] in [0, V) or kIgnoredTarget → the mean loss, [1] f32, in
// nats. Gradients flow to hidden and weight; the backward computes the logits again
// unless gradient_with_loss. Error bad_input naming a
// target outside; a batch without any target has loss 0.
Tensor linear_cross_entropy(const Tensor& hidden, const WeightMatrix& weight,
                            std::span<const std::int32_t> targets, const CrossEntropyOptions& options = {});

}  // namespace tessera::ops
