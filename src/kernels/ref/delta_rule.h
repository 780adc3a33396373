// The delta rule: DeltaNet (Schlag, Irie, Schmidhuber 2021; in parallel: Yang et al. 2024, "Parallelizing
// Linear Transformers with the Delta Rule") and Gated DeltaNet (Yang, Kautz, Hatamizadeh 2025), one head,
// causal, in three forms that give the same numbers. All in double, as kernels/ref/linear_attention.h.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/ref/linear_attention.h"

namespace tessera::kernels::ref {

struct DeltaRuleInput {
  LinearAttentionInput heads;         // keys of length 1: l2_normalize_rows
  std::span<const double> betas;      // [T], 0 to 1: how much of what the key recalls is replaced
  std::span<const double> log_gates;  // [T], at most 0: how much of all is kept; empty: everything (DeltaNet)
  double scale = 1;                   // of the queries; 1 / sqrt(key_dim) in the paper's code
};

// S_t = exp(g_t) S_{t-1} + beta_t k_t (v_t - (exp(g_t) S_{t-1})^T k_t)^T, o_t = scale q_t S_t. What the key
// already recalls is taken back before the new value is written, so that a key can be overwritten. outputs
// [T, value_dim].
//
// All pairs at once. With u_t, what token t really writes, S_t = sum over j <= t of exp(G_t - G_j) k_j u_j^T,
// and so u_t = beta_t (v_t - sum over j < t of exp(G_t - G_j) (k_t . k_j) u_j): a triangular system. Begins
// without a past.
void delta_rule_parallel(const DeltaRuleInput& input, std::span<double> outputs);
// Token by token. Of `state` the memory counts.
void delta_rule_recurrent(const DeltaRuleInput& input, LinearAttentionState& state,
                          std::span<double> outputs);
// The triangular system within chunks (the WY form), the state between them.
void delta_rule_chunked(const DeltaRuleInput& input, std::int64_t chunk, LinearAttentionState& state,
                        std::span<double> outputs);

// Each row divided by sqrt(its sum of squares + epsilon). rows [*, width], in place.
void l2_normalize_rows(std::span<double> rows, std::int64_t width, double epsilon = 1e-6);

}  // namespace tessera::kernels::ref
