// RMSNorm and LayerNorm with their weights; float32 whatever the file stores (a norm is a vector, so this
// costs nothing).
#pragma once
#include "tensor/tensor.h"

namespace tessera::nn {

// y = x / sqrt(mean(x²) + eps) * weight (Zhang & Sennrich 2019), over the innermost dimension.
class RmsNorm {
 public:
  RmsNorm() = default;
  // weight [C] f32. add_one: the file stores weight - 1 (Gemma).
  RmsNorm(Tensor weight, float epsilon, bool add_one = false);

  // x [..., C] f32 → same shape.
  Tensor operator()(const Tensor& x) const;

 private:
  Tensor weight_;
  float epsilon_ = 0.0F;
  bool add_one_ = false;
};

// y = (x - mean) / sqrt(var + eps) * weight + bias (Ba et al. 2016), over the innermost dimension.
class LayerNorm {
 public:
  LayerNorm() = default;
  // weight and bias [C] f32; bias may be undefined.
  LayerNorm(Tensor weight, Tensor bias, float epsilon);

  // x [..., C] f32 → same shape.
  Tensor operator()(const Tensor& x) const;

 private:
  Tensor weight_;
  Tensor bias_;
  float epsilon_ = 0.0F;
};

}  // namespace tessera::nn
