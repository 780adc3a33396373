// Token and position embeddings: rows of a table of any dtype, widened to float32 one row at a time.
#pragma once
#include <cstdint>
#include <span>

#include "ops/weight_matrix.h"
#include "tensor/tensor.h"

namespace tessera::nn {

class Embedding {
 public:
  Embedding() = default;
  // weight [V, C].
  explicit Embedding(ops::WeightMatrix weight);

  // ids [T] → [T, C] f32. Error bad_input naming an id outside [0, V).
  Tensor operator()(std::span<const std::int32_t> ids) const;

  const ops::WeightMatrix& weight() const { return weight_; }

 private:
  ops::WeightMatrix weight_;
};

// The fixed position encoding of Vaswani et al. 2017, section 3.5, for positions [T] → [T, hidden_size] f32:
// PE(p, 2i) = sin(p / 10000^(2i / C)), PE(p, 2i + 1) = cos of the same angle. hidden_size must be even.
Tensor sinusoidal_positions(std::span<const std::int32_t> positions, std::int64_t hidden_size);

}  // namespace tessera::nn
