#include "nn/attention/linear_attention.h"

#include "ops/linear_maps.h"

namespace tessera::nn {

ops::LinearAttentionInputs LinearAttention::inputs_of(const Tensor& /*x*/,
                                                      const ProjectedTokens& projected) const {
  return {.q = ops::elu_plus_one(projected.q),
          .k = ops::elu_plus_one(projected.k),
          .v = projected.v,
          .log_gates = {},
          .betas = {}};
}

}  // namespace tessera::nn
