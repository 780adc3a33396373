#include "ops/dropout.h"

#include <utility>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "ops/backward.h"
#include "ops/check.h"
#include "ops/grain.h"

namespace tessera::ops {
namespace {

thread_local DropoutScope* active_scope = nullptr;

// Of one call.
struct Mask {
  std::uint64_t key = 0;
  std::uint32_t threshold = 0;  // hashes below it are dropped
  float scale = 1.0F;

  // The finalizer of MurmurHash3 over the key and the element's index.
  float factor(std::int64_t index) const {
    std::uint64_t h = key + static_cast<std::uint64_t>(index) * 0x9e3779b97f4a7c15ULL;
    h = (h ^ (h >> 33U)) * 0xff51afd7ed558ccdULL;
    h = (h ^ (h >> 33U)) * 0xc4ceb9fe1a85ec53ULL;
    return static_cast<std::uint32_t>(h >> 32U) < threshold ? 0.0F : scale;
  }
  void apply(Tensor& x) const {
    const ProfileTimer timer("dropout");
    float* values = x.as_mutable<float>().data();
    thread_pool().parallel_for(x.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) values[i] *= factor(i);
    });
  }
};

DropoutMask draw(DropoutPosition& at, double probability) {
  return {at.seed * 0xd1342543de82ef95ULL + ++at.calls * 0x2545f4914f6cdd1dULL, probability};
}
Mask mask_of(const DropoutMask& drawn) {
  return {.key = drawn.key,
          .threshold = static_cast<std::uint32_t>(drawn.probability * 4294967296.0),
          .scale = drawn.scale()};
}

}  // namespace

DropoutScope::DropoutScope(double probability, std::uint64_t seed, double adapter_probability)
    : DropoutScope(DropoutPosition{
          .probability = probability, .seed = seed, .adapter_probability = adapter_probability}) {}

DropoutScope::DropoutScope(const DropoutPosition& position)
    : position_(position), outer_(std::exchange(active_scope, this)) {
  for (const double probability : {position.probability, position.adapter_probability}) {
    if (!(probability >= 0.0 && probability < 1.0)) {
      fail(ErrorKind::internal, "dropout: expected a probability in [0, 1), found {}", probability);
    }
  }
}
DropoutScope::~DropoutScope() { active_scope = outer_; }

DropoutPosition dropout_position() {
  return active_scope != nullptr ? active_scope->position_ : DropoutPosition{};
}

DropoutMask next_dropout_mask() {
  if (active_scope == nullptr || active_scope->position_.probability == 0.0) return {};
  return draw(active_scope->position_, active_scope->position_.probability);
}

Tensor dropout(Tensor x) {
  const DropoutMask drawn = next_dropout_mask();
  if (drawn.probability == 0.0) return x;
  expect_f32(x, "dropout: x");
  const Mask mask = mask_of(drawn);
  mask.apply(x);
  if (autograd::Tape* tape = autograd::tape_for({&x})) {
    tape->record_in_place(x, [x, mask](autograd::Tape& t) {
      Tensor dx = t.gradient(x);
      mask.apply(dx);
    });
  }
  return x;
}

Tensor adapter_dropout(const Tensor& x) {
  if (active_scope == nullptr || active_scope->position_.adapter_probability == 0.0) return x;
  expect_f32(x, "adapter_dropout: x");
  const Mask mask = mask_of(draw(active_scope->position_, active_scope->position_.adapter_probability));
  Tensor y = Tensor::from_values(x.shape(), x.as<float>());
  mask.apply(y);
  if (autograd::Tape* tape = autograd::tape_for({&x})) {
    tape->record({y}, {}, [x, y, mask](autograd::Tape& t) {
      Tensor dy = t.gradient(y);
      mask.apply(dy);
      add_gradient(t.gradient_to_write(x), dy);
    });
  }
  return y;
}

}  // namespace tessera::ops
