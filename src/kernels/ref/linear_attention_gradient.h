// The gradients of the linear kinds of attention, one head, token by token: the adjoint of each step of the
// recurrence, from the last to the first. All in double, the specification of the kernels' backward.
#pragma once
#include <span>
#include <vector>

#include "kernels/ref/delta_rule.h"
#include "kernels/ref/linear_attention.h"

namespace tessera::kernels::ref {

struct LinearAttentionGradients {
  std::vector<double> queries, keys;  // [T, key_dim]
  std::vector<double> values;         // [T, value_dim]
  std::vector<double> log_gates;      // as the input's, empty where it has none
  std::vector<double> betas;          // [T]; the delta rule alone
};

// Of o = f(phi(q), phi(k), v), the parallel form of linear_attention.h, with respect to q, k and v.
LinearAttentionGradients linear_attention_gradient(const LinearAttentionInput& input,
                                                   std::span<const double> doutputs);
// With S_t = diag(e^{g_t}) S_{t-1} + k_t v_t^T and o_t = scale q_t S_t, from the last token on:
//   dS_t += scale q_t^T do_t, dq_t = scale S_t do_t, dk_t = dS_t v_t, dv_t = dS_t^T k_t,
//   dg_t = e^{g_t} rowsum(dS_t * S_{t-1}), dS_{t-1} = diag(e^{g_t}) dS_t.
LinearAttentionGradients gated_linear_attention_gradient(const LinearAttentionInput& input,
                                                         std::span<const double> log_gates, double scale,
                                                         std::span<const double> doutputs);
// With R = e^{g_t} S_{t-1}, w = v_t - R^T k_t, u = beta_t w, S_t = R + k_t u^T:
//   dS_t += scale q_t^T do_t, du = dS_t^T k_t, dbeta_t = du . w, dw = beta_t du, dv_t = dw,
//   dR = dS_t - k_t dw^T, dk_t = dS_t u - R dw, dg_t = e^{g_t} sum(dR * S_{t-1}), dS_{t-1} = e^{g_t} dR.
LinearAttentionGradients delta_rule_gradient(const DeltaRuleInput& input, std::span<const double> doutputs);

}  // namespace tessera::kernels::ref
