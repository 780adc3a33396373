#include "nn/attention/attention_mechanism.h"

#include "base/error.h"

namespace tessera::nn {

Tensor AttentionMechanism::attend_rows(int /*layer*/, const Tensor& /*q*/, const Tensor& /*k*/,
                                       const Tensor& /*v*/, const RaggedBatch& /*batch*/,
                                       const WantedRows& /*wanted*/,
                                       const ops::AttentionParameters& /*parameters*/) {
  fail(ErrorKind::internal, "attention: only a mechanism with a cache attends some rows alone");
}

}  // namespace tessera::nn
