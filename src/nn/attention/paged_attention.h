// Attention on the engine's paged cache (Kwon et al. 2023): writes the new keys and values, then attends to
// all.
#pragma once
#include <span>

#include "nn/attention/attention_mechanism.h"

namespace tessera::nn {

class PagedAttention final : public AttentionMechanism {
 public:
  // One entry a layer; the engine owns the memory and keeps it alive.
  explicit PagedAttention(std::span<const KeyValueCacheLayer> layers) : layers_(layers) {}
  Tensor attend(int layer, const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                const ops::AttentionParameters& parameters) override;
  Tensor attend_rows(int layer, const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                     const WantedRows& wanted, const ops::AttentionParameters& parameters) override;

 private:
  std::span<const KeyValueCacheLayer> layers_;
};

}  // namespace tessera::nn
