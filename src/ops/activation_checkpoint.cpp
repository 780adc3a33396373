#include "ops/activation_checkpoint.h"

#include "ops/backward.h"
#include "ops/dropout.h"

namespace tessera::ops {
namespace {

thread_local bool wanted_here = false;

}  // namespace

ActivationCheckpointScope::ActivationCheckpointScope(bool wanted)
    : outer_(std::exchange(wanted_here, wanted)) {}
ActivationCheckpointScope::~ActivationCheckpointScope() { wanted_here = outer_; }

bool forgets_inside(const Tensor& x) { return wanted_here && autograd::tape_for({&x}) != nullptr; }

Tensor run_and_forget(const Tensor& x, std::function<Tensor(const Tensor&)> layer) {
  autograd::Tape* tape = autograd::tape_for({&x});
  const DropoutPosition position = dropout_position();
  // Recorded all the same: without a tape some operations choose other kernels, with other bits.
  const std::size_t before = tape->recorded_operations();
  const Tensor y = layer(x);
  tape->forget_after(before);
  // What the second run records goes to the tape's end, so the walk back takes it next.
  tape->record({y}, {x}, [x, y, position, layer = std::move(layer)](autograd::Tape& t) {
    const autograd::RecordingScope recording(t);
    const DropoutScope dropout(position);
    const ActivationCheckpointScope inside(false);
    t.move_gradient(y, layer(x));
  });
  return y;
}

}  // namespace tessera::ops
