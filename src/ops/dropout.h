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
  std::uint64_t calls = 0;           // masks that have been taken
  double adapter_probability = 0.0;  // of adapter_dropout()
};

// One call's mask: what is drawn by `key` below the probability is dropped. probability 0: nothing.
struct DropoutMask {
  std::uint64_t key = 0;
  double probability = 0.0;
  float scale() const { return static_cast<float>(1.0 / (1.0 - probability)); }
};

// While one lives, dropout() of this thread sets elements to zero with this probability and scales the others
// by 1 / (1 - probability); flash_attention() does so with its probabilities. The masks of the calls follow
// from the seed and their order.
class DropoutScope {
 public:
  DropoutScope(double probability, std::uint64_t seed, double adapter_probability = 0.0);
  explicit DropoutScope(const DropoutPosition& position);
  ~DropoutScope();
  DropoutScope(const DropoutScope&) = delete;
  DropoutScope& operator=(const DropoutScope&) = delete;

 private:
  friend Tensor dropout(Tensor x);
  friend Tensor adapter_dropout(const Tensor& x);
  friend DropoutPosition dropout_position();
  friend DropoutMask next_dropout_mask();
  DropoutPosition position_;
  DropoutScope* outer_;
};

// Of this thread's innermost scope; probability 0 outside of one.
DropoutPosition dropout_position();
// Takes the next mask of this thread's innermost scope.
DropoutMask next_dropout_mask();

// x, of any shape, changed in its place and returned; as it is outside of a DropoutScope. What a model's
// forward calls wherever training may drop.
Tensor dropout(Tensor x);
// For what low-rank adapters read: with a probability of its own, and as a tensor of its own, since others
// need x as it was.
Tensor adapter_dropout(const Tensor& x);

}  // namespace tessera::ops
