#include "nn/attention/gated_delta_rule_attention.h"

#include "nn/attention/delta_rule_attention.h"
#include "ops/linear_maps.h"

namespace tessera::nn {

ops::LinearAttentionInputs GatedDeltaRuleAttention::inputs_of(const Tensor& x,
                                                              const ProjectedTokens& projected) const {
  ops::LinearAttentionInputs inputs = delta_rule_inputs(x, projected, b_proj_);
  inputs.log_gates = ops::decay_gate(a_proj_(x), a_log_, dt_bias_);  // [T, K]
  return inputs;
}

}  // namespace tessera::nn
