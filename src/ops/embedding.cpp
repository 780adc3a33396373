#include "ops/embedding.h"

#include "base/error.h"
#include "base/profile.h"
#include "kernels/kernel_table.h"
#include "ops/check.h"

namespace tessera::ops {

Tensor embedding(std::span<const std::int32_t> ids, const Tensor& weight) {
  const ProfileTimer timer("embedding");
  expect_rank(weight, 2, "embedding: weight");
  const auto dequantize = kernels::active().dequantize[static_cast<std::size_t>(weight.dtype())];
  if (dequantize == nullptr)
    fail(ErrorKind::internal, "embedding: no kernel for {} weights", name(weight.dtype()));
  const std::int64_t vocabulary = weight.dim(0);
  const std::int64_t width = weight.dim(1);
  const std::size_t bytes = row_bytes(weight.dtype(), width);
  Tensor y = Tensor::empty({static_cast<std::int64_t>(ids.size()), width});
  float* target = y.as_mutable<float>().data();
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocabulary) {
      fail(ErrorKind::bad_input, "expected a token id below {}, found {}", vocabulary, id);
    }
    dequantize(weight.raw() + static_cast<std::size_t>(id) * bytes, target, width);
    target += width;
  }
  return y;
}

}  // namespace tessera::ops
