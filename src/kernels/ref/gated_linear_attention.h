// Gated linear attention (Yang et al. 2024, "Gated Linear Attention Transformers with Hardware-Efficient
// Training"), one head, causal, in three forms that give the same numbers. All in double, as
// kernels/ref/linear_attention.h.
#pragma once
#include <cstdint>
#include <span>

#include "kernels/ref/linear_attention.h"

namespace tessera::kernels::ref {

// S_t = diag(exp(g_t)) S_{t-1} + k_t v_t^T, o_t = scale q_t S_t. log_gates g [T, key_dim], at most 0: each
// key channel forgets at a pace of its own. scale: 1 / sqrt(key_dim) in the paper's code. outputs [T,
// value_dim].
//
// All pairs at once: o_t = scale sum over j <= t of (sum over d of q_td k_jd exp(G_td - G_jd)) v_j with G the
// running sum of g. The exponents are never above 0. Begins without a past.
void gated_linear_attention_parallel(const LinearAttentionInput& input, std::span<const double> log_gates,
                                     double scale, std::span<double> outputs);
// Token by token. Of `state` the memory counts.
void gated_linear_attention_recurrent(const LinearAttentionInput& input, std::span<const double> log_gates,
                                      double scale, LinearAttentionState& state, std::span<double> outputs);
// Pairs within chunks, the state between them.
void gated_linear_attention_chunked(const LinearAttentionInput& input, std::span<const double> log_gates,
                                    double scale, std::int64_t chunk, LinearAttentionState& state,
                                    std::span<double> outputs);

}  // namespace tessera::kernels::ref
