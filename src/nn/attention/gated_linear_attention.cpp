#include "nn/attention/gated_linear_attention.h"

#include "ops/linear_maps.h"

namespace tessera::nn {
namespace {

constexpr float kGateNormalizer = 16.0F;  // the paper's tau: gates begin near 1, so that memory is long

}  // namespace

ops::LinearAttentionInputs GatedLinearAttention::inputs_of(const Tensor& x,
                                                           const ProjectedTokens& projected) const {
  const Tensor gates = ops::log_sigmoid(gk_up_(gk_down_(x)), 1.0F / kGateNormalizer);  // [T, K·D]
  return {.q = projected.q,
          .k = projected.k,
          .v = projected.v,
          .log_gates = gates.reshape(projected.k.shape()),
          .betas = {}};
}

}  // namespace tessera::nn
