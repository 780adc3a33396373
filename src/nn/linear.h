// The one linear layer of Tessera: y = x Wᵀ + b, for a weight of whatever dtype the file stores; ops picks
// the kernel. Nothing is widened or copied: the weight is usually a window of the mapped file.
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace tessera::nn {

class Linear {
 public:
  Linear() = default;
  // weight [out, in]; bias [out] f32 or undefined. Error internal when they do not fit each other.
  explicit Linear(Tensor weight, Tensor bias = {});

  // x [T, in] f32 → [T, out] f32.
  Tensor operator()(const Tensor& x) const;

  std::int64_t in_features() const { return weight_.dim(1); }
  std::int64_t out_features() const { return weight_.dim(0); }
  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }

  // Output features [begin, end) as a layer of its own that shares this one's storage: how a fused projection
  // (query, key and value in one matrix) is taken apart.
  Linear outputs(std::int64_t begin, std::int64_t end) const;

 private:
  Tensor weight_;
  Tensor bias_;
};

// layer(x) for each layer, bit for bit, in one parallel region.
std::vector<Tensor> project_together(const Tensor& x,
                                     std::initializer_list<std::reference_wrapper<const Linear>> layers);

}  // namespace tessera::nn
