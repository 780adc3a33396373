#include "ops/embedding.h"

#include <vector>

#include "base/error.h"
#include "base/profile.h"
#include "kernels/kernel_table.h"
#include "ops/backward.h"

namespace tessera::ops {

Tensor embedding(std::span<const std::int32_t> ids, const WeightMatrix& weight) {
  const ProfileTimer timer("embedding");
  if (!weight.defined()) fail(ErrorKind::internal, "embedding: expected a weight, found none");
  const auto dequantize = kernels::active().dequantize[static_cast<std::size_t>(weight.dtype())];
  if (dequantize == nullptr)
    fail(ErrorKind::internal, "embedding: no kernel for {} weights", name(weight.dtype()));
  const std::int64_t vocabulary = weight.rows();
  const std::int64_t width = weight.columns();
  const std::size_t bytes = row_bytes(weight.dtype(), width);
  const auto unpack = kernels::active().packed[static_cast<std::size_t>(weight.dtype())].unpack_row;
  std::vector<std::byte> unpacked(weight.is_packed() ? bytes : 0);
  Tensor y = Tensor::empty({static_cast<std::int64_t>(ids.size()), width});
  float* target = y.as_mutable<float>().data();
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocabulary) {
      fail(ErrorKind::bad_input, "expected a token id below {}, found {}", vocabulary, id);
    }
    const std::byte* row = unpacked.data();
    if (weight.is_packed()) {
      unpack(weight.raw(), unpacked.data(), width, weight.first_row() + id);
    } else {
      row = weight.raw() + static_cast<std::size_t>(id) * bytes;
    }
    dequantize(row, target, width);
    target += width;
  }
  if (autograd::Tape* tape = tape_for_weight(weight, {})) record_embedding(*tape, ids, weight, y);
  return y;
}

}  // namespace tessera::ops
