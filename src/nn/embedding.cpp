#include "nn/embedding.h"

#include <cmath>
#include <utility>

#include "base/error.h"
#include "ops/embedding.h"

namespace tessera::nn {

Embedding::Embedding(ops::WeightMatrix weight) : weight_(std::move(weight)) {
  if (!weight_.defined()) fail(ErrorKind::internal, "Embedding: expected a weight [V, C], found none");
}

Tensor Embedding::operator()(std::span<const std::int32_t> ids) const { return ops::embedding(ids, weight_); }

Tensor sinusoidal_positions(std::span<const std::int32_t> positions, std::int64_t hidden_size) {
  if (hidden_size < 2 || hidden_size % 2 != 0) {
    fail(ErrorKind::internal, "sinusoidal_positions: expected an even hidden_size, found {}", hidden_size);
  }
  Tensor table = Tensor::empty({static_cast<std::int64_t>(positions.size()), hidden_size});
  float* row = table.as_mutable<float>().data();
  for (const std::int32_t position : positions) {
    for (std::int64_t i = 0; i < hidden_size; i += 2) {
      // In double: the angle reaches the position itself, where a float32 argument would lose digits.
      const double exponent = static_cast<double>(i) / static_cast<double>(hidden_size);
      const double angle = static_cast<double>(position) / std::pow(10000.0, exponent);
      row[i] = static_cast<float>(std::sin(angle));
      row[i + 1] = static_cast<float>(std::cos(angle));
    }
    row += hidden_size;
  }
  return table;
}

}  // namespace tessera::nn
