// Attention on the engine's memory: on the paged cache (Kwon et al. 2023), where it writes the new keys and
// values and then attends to all; of the linear kinds on states of constant size.
#pragma once
#include <span>

#include "nn/attention/attention_mechanism.h"

namespace tessera::nn {

class PagedAttention final : public AttentionMechanism {
 public:
  // One entry a layer; the engine owns the memory and keeps it alive.
  explicit PagedAttention(std::span<const KeyValueCacheLayer> layers,
                          std::span<const LinearStateLayer> states = {})
      : layers_(layers), states_(states) {}
  Tensor attend(int layer, const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                const ops::AttentionParameters& parameters) override;
  Tensor attend_rows(int layer, const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                     const WantedRows& wanted, const ops::AttentionParameters& parameters) override;
  // Error internal for a layer without states.
  Tensor attend_linear(int layer, const ops::LinearAttentionInputs& inputs, const RaggedBatch& batch,
                       const ops::LinearAttentionParameters& parameters) override;

 private:
  std::span<const KeyValueCacheLayer> layers_;
  std::span<const LinearStateLayer> states_;
};

}  // namespace tessera::nn
