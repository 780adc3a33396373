// Dropout (Srivastava et al. 2014) whose masks are computed from counters: nothing is stored for the
// backward, and a run that resumes drops what it would have dropped.
#pragma once
#include <cstdint>

#include "tensor/tensor.h"

namespace tessera::ops {

// Where in a scope's row of masks a computation stands: from there it can be repeated with the same masks.
struct DropoutPosition {
  double probability = 0.0;
  std::uint64_t seed = 0;
  std::uint64_t calls = 0;  // masks that have been taken
};

// While one lives, dropout() of this thread sets elements to zero with this probability and scales the others
// by 1 / (1 - probability). The masks of the calls follow from the seed and their order.
class DropoutScope {
 public:
  DropoutScope(double probability, std::uint64_t seed);
  explicit DropoutScope(const DropoutPosition& position);
  ~DropoutScope();
  DropoutScope(const DropoutScope&) = delete;
  DropoutScope& operator=(const DropoutScope&) = delete;

 private:
  friend Tensor dropout(Tensor x);
  friend DropoutPosition dropout_position();
  DropoutPosition position_;
  DropoutScope* outer_;
};

// Of this thread's innermost scope; probability 0 outside of one.
DropoutPosition dropout_position();

// x, of any shape, changed in its place and returned; as it is outside of a DropoutScope. What a model's
// forward calls wherever training may drop.
Tensor dropout(Tensor x);

}  // namespace tessera::ops
