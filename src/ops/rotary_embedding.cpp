#include "ops/rotary_embedding.h"

#include <cmath>
#include <initializer_list>
#include <vector>

#include "base/error.h"
#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "ops/backward.h"
#include "ops/check.h"
#include "ops/grain.h"

namespace tessera::ops {
namespace {

enum class Direction { forward, backward };  // by the angle, and by minus the angle

// cosines[pairs], sines[pairs] of one position. The angle is rounded to float32 before the cosine, as PyTorch
// does it: at position 10^4 that rounding is larger than all others together, so it belongs to the
// definition.
void fill_angles(std::int32_t position, std::span<const float> inverse_frequencies, float magnitude,
                 std::span<float> cosines, std::span<float> sines) {
  for (std::size_t i = 0; i < inverse_frequencies.size(); ++i) {
    const float angle = static_cast<float>(position) * inverse_frequencies[i];
    cosines[i] = std::cos(angle) * magnitude;
    sines[i] = std::sin(angle) * magnitude;
  }
}

// What is rotated together: the angles of a position cost more than the rotation.
struct Heads {
  float* values = nullptr;  // [T, heads, D]
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
};

Heads check(Tensor& x, std::size_t tokens, std::int64_t pairs) {
  expect_f32(x, "rotary_embedding: x");
  expect_rank(x, 3, "rotary_embedding: x");
  expect_dim(x, 0, static_cast<std::int64_t>(tokens), "rotary_embedding: x");
  if (2 * pairs > x.dim(2)) {
    fail(ErrorKind::internal, "rotary_embedding: {} rotated elements in heads of {}", 2 * pairs, x.dim(2));
  }
  return {x.as_mutable<float>().data(), x.dim(1), x.dim(2)};
}

void rotate(std::initializer_list<Tensor*> tensors, std::span<const std::int32_t> positions,
            std::span<const float> inverse_frequencies, RotaryLayout layout, float magnitude,
            Direction direction) {
  const auto pairs = static_cast<std::int64_t>(inverse_frequencies.size());
  std::vector<Heads> rotated;
  std::int64_t width = 0;
  for (Tensor* x : tensors) {
    rotated.push_back(check(*x, positions.size(), pairs));
    width += rotated.back().heads * rotated.back().head_dim;
  }
  const auto& table = kernels::active();
  const auto kernel = layout == RotaryLayout::half ? table.rotary_half : table.rotary_interleaved;
  thread_pool().parallel_for(
      static_cast<std::int64_t>(positions.size()), row_grain(width),
      [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> cosines(inverse_frequencies.size());
        std::vector<float> sines(inverse_frequencies.size());
        for (std::int64_t t = begin; t < end; ++t) {
          fill_angles(positions[static_cast<std::size_t>(t)], inverse_frequencies, magnitude, cosines, sines);
          if (direction == Direction::backward) {
            for (float& sine : sines) sine = -sine;
          }
          for (const Heads& x : rotated) {
            for (std::int64_t h = 0; h < x.heads; ++h) {
              kernel(x.values + (t * x.heads + h) * x.head_dim, cosines.data(), sines.data(), pairs);
            }
          }
        }
      });
}

}  // namespace

void rotary_embedding(Tensor& x, std::span<const std::int32_t> positions,
                      std::span<const float> inverse_frequencies, RotaryLayout layout, float magnitude) {
  const ProfileTimer timer("rotary_embedding");
  rotate({&x}, positions, inverse_frequencies, layout, magnitude, Direction::forward);
  if (autograd::Tape* tape = autograd::tape_for({&x})) {
    record_rotary(*tape, x, positions, inverse_frequencies, layout, magnitude);
  }
}

void rotary_embedding(Tensor& q, Tensor& k, std::span<const std::int32_t> positions,
                      std::span<const float> inverse_frequencies, RotaryLayout layout, float magnitude) {
  const ProfileTimer timer("rotary_embedding");
  rotate({&q, &k}, positions, inverse_frequencies, layout, magnitude, Direction::forward);
  for (const Tensor* x : {&q, &k}) {
    if (autograd::Tape* tape = autograd::tape_for({x})) {
      record_rotary(*tape, *x, positions, inverse_frequencies, layout, magnitude);
    }
  }
}

void record_rotary(autograd::Tape& tape, const Tensor& x, std::span<const std::int32_t> positions,
                   std::span<const float> inverse_frequencies, RotaryLayout layout, float magnitude) {
  const std::vector<std::int32_t> kept_positions(positions.begin(), positions.end());
  const std::vector<float> kept_frequencies(inverse_frequencies.begin(), inverse_frequencies.end());
  tape.record_in_place(x, [x, kept_positions, kept_frequencies, layout, magnitude](autograd::Tape& t) {
    const ProfileTimer timer("rotary_embedding backward");
    Tensor dx = t.gradient(x);
    rotate({&dx}, kept_positions, kept_frequencies, layout, magnitude, Direction::backward);
  });
}

}  // namespace tessera::ops
