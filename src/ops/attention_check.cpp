#include "ops/attention_check.h"

#include <cstdint>
#include <string>

#include "base/error.h"
#include "ops/check.h"

namespace tessera::ops {

void expect_attention_inputs(const Tensor& q, const Tensor& k, const Tensor& v, const RaggedBatch& batch,
                             std::string_view operation) {
  const auto name_of = [operation](const char* argument) { return std::string(operation) + ": " + argument; };
  expect_f32(q, name_of("q"));
  expect_f32(k, name_of("k"));
  expect_f32(v, name_of("v"));
  expect_rank(q, 3, name_of("q"));
  expect_rank(k, 3, name_of("k"));
  expect_shape(k, {q.dim(0), k.dim(1), q.dim(2)}, name_of("k"));
  expect_shape(v, k.shape(), name_of("v"));
  if (k.dim(1) == 0 || q.dim(1) % k.dim(1) != 0) {
    fail(ErrorKind::internal, "{}: {} query heads over {} key/value heads", operation, q.dim(1), k.dim(1));
  }
  for (std::size_t n = 0; n < batch.context_length.size(); ++n) {
    const std::int32_t tokens = batch.query_start[n + 1] - batch.query_start[n];
    if (batch.context_length[n] == tokens) continue;
    fail(ErrorKind::internal, "{}: sequence {} has {} tokens and a context of {}; there is no cache",
         operation, n, tokens, batch.context_length[n]);
  }
}

}  // namespace tessera::ops
