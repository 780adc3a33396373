// Activation checkpointing (Chen et al. 2016, "Training deep nets with sublinear memory cost"): of a layer
// only the input is kept; the backward computes the inside again, to the same bits, and goes on from there.
#pragma once
#include <functional>
#include <utility>

#include "tensor/tensor.h"

namespace tessera::ops {

// While one lives, checkpointed() of this thread keeps inputs alone.
class ActivationCheckpointScope {
 public:
  explicit ActivationCheckpointScope(bool wanted = true);
  ~ActivationCheckpointScope();
  ActivationCheckpointScope(const ActivationCheckpointScope&) = delete;
  ActivationCheckpointScope& operator=(const ActivationCheckpointScope&) = delete;

 private:
  bool outer_;
};

// Whether checkpointed(x, ...) would forget the inside: a scope lives and a tape tracks x.
bool forgets_inside(const Tensor& x);
Tensor run_and_forget(const Tensor& x, std::function<Tensor(const Tensor&)> layer);

// layer(x), a tensor of its own memory. When the inside is forgotten, the layer runs a second time in the
// backward: what it refers to must live until then, and it must not change x. Dropout drops the same elements
// both times.
template <typename Layer>
Tensor checkpointed(const Tensor& x, Layer&& layer) {
  if (!forgets_inside(x)) return layer(x);
  return run_and_forget(x, std::forward<Layer>(layer));
}

}  // namespace tessera::ops
