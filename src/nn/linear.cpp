#include "nn/linear.h"

#include <utility>

#include "base/error.h"
#include "ops/linear.h"

namespace tessera::nn {

Linear::Linear(ops::WeightMatrix weight, Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {
  if (!weight_.defined()) fail(ErrorKind::internal, "Linear: expected a weight [out, in], found none");
  if (bias_.defined() && (bias_.dtype() != DType::f32 || !(bias_.shape() == Shape{weight_.rows()}))) {
    fail(ErrorKind::internal, "Linear: expected an F32 bias [{}], found {} {}", weight_.rows(),
         name(bias_.dtype()), bias_.shape().to_string());
  }
}

Tensor Linear::operator()(const Tensor& x) const {
  Tensor y = ops::linear(x, weight_, bias_);
  const std::reference_wrapper<const Linear> self(*this);
  add_lora(x, {&self, 1}, {&y, 1});
  return y;
}

Linear Linear::outputs(std::int64_t begin, std::int64_t end) const {
  Linear part(weight_.slice(begin, end), bias_.defined() ? bias_.rows(begin, end) : Tensor{});
  part.lora_slot_ = lora_slot_;
  part.first_lora_row_ = first_lora_row_ + begin;
  return part;
}

std::vector<Tensor> project_together(const Tensor& x,
                                     std::initializer_list<std::reference_wrapper<const Linear>> layers) {
  std::vector<ops::Projection> projections;
  projections.reserve(layers.size());
  for (const Linear& layer : layers) projections.push_back({&layer.weight(), &layer.bias()});
  std::vector<Tensor> outputs = ops::linear_together(x, projections);
  add_lora(x, layers, outputs);
  return outputs;
}

}  // namespace tessera::nn
