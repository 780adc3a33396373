// The one linear layer of Tessera: y = x Wᵀ + b, for a weight of whatever dtype the file stores, as it lies
// in the mapped file or packed at load; ops picks the kernel.
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "nn/lora.h"
#include "ops/weight_matrix.h"
#include "tensor/tensor.h"

namespace tessera::nn {

class Linear {
 public:
  Linear() = default;
  // weight [out, in]; bias [out] f32 or undefined. Error internal when they do not fit each other.
  explicit Linear(ops::WeightMatrix weight, Tensor bias = {});

  // x [T, in] f32 → [T, out] f32, with what the adapters of a LoraScope add.
  Tensor operator()(const Tensor& x) const;

  std::int64_t in_features() const { return weight_.columns(); }
  std::int64_t out_features() const { return weight_.rows(); }
  const ops::WeightMatrix& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }

  // Output features [begin, end) as a layer of its own that shares this one's storage: how a fused projection
  // (query, key and value in one matrix) is taken apart.
  Linear outputs(std::int64_t begin, std::int64_t end) const;

  // Where adapters stand beside this layer; its first output feature is row `first_row` of their B.
  void set_lora_slot(std::shared_ptr<const LoraSlot> slot) { lora_slot_ = std::move(slot); }
  const LoraSlot* lora_slot() const { return lora_slot_.get(); }
  std::int64_t first_lora_row() const { return first_lora_row_; }

 private:
  ops::WeightMatrix weight_;
  Tensor bias_;
  std::shared_ptr<const LoraSlot> lora_slot_;
  std::int64_t first_lora_row_ = 0;
};

// layer(x) for each layer, bit for bit, in one parallel region.
std::vector<Tensor> project_together(const Tensor& x,
                                     std::initializer_list<std::reference_wrapper<const Linear>> layers);

}  // namespace tessera::nn
