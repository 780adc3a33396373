// Dropout (Srivastava et al. 2014) whose masks are computed from counters: nothing is stored for the
// backward, and a run that resumes drops what it would have dropped.
#pragma once
#include <cstdint>

#include "tensor/tensor.h"

namespace tessera::ops {

// While one lives, dropout() of this thread sets elements to zero with this probability and scales the others
// by 1 / (1 - probability). The masks of the calls follow from the seed and their order.
class DropoutScope {
 public:
  DropoutScope(double probability, std::uint64_t seed);
  ~DropoutScope();
  DropoutScope(const DropoutScope&) = delete;
  DropoutScope& operator=(const DropoutScope&) = delete;

 private:
  friend Tensor dropout(Tensor x);
  double probability_;
  std::uint64_t seed_;
  std::uint64_t calls_ = 0;
  DropoutScope* outer_;
};

// x, of any shape, changed in its place and returned; as it is outside of a DropoutScope. What a model's
// forward calls wherever training may drop.
Tensor dropout(Tensor x);

}  // namespace tessera::ops
