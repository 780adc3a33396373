#include "nn/attention/delta_rule_attention.h"

#include "ops/activation.h"
#include "ops/linear_maps.h"

namespace tessera::nn {

ops::LinearAttentionInputs delta_rule_inputs(const Tensor& x, const ProjectedTokens& projected,
                                             const Linear& b_proj) {
  const auto unit = [](const Tensor& rows) {
    return ops::l2_normalize(ops::activate(rows, ops::Activation::silu));
  };
  return {.q = unit(projected.q),
          .k = unit(projected.k),
          .v = projected.v,
          .log_gates = {},
          .betas = ops::sigmoid(b_proj(x))};  // [T, K]
}

ops::LinearAttentionInputs DeltaRuleAttention::inputs_of(const Tensor& x,
                                                         const ProjectedTokens& projected) const {
  return delta_rule_inputs(x, projected, b_proj_);
}

}  // namespace tessera::nn
