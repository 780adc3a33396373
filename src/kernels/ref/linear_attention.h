// Linear attention with the feature map elu + 1 (Katharopoulos et al. 2020, "Transformers are RNNs"), one
// head, causal, in three forms that give the same numbers. All in double: the specification of kernels and of
// gradients.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace tessera::kernels::ref {

// What one head of a linear mechanism reads: queries and keys [T, key_dim], values [T, value_dim].
struct LinearAttentionInput {
  std::int64_t T = 0;
  std::int64_t key_dim = 0;
  std::int64_t value_dim = 0;
  std::span<const double> queries;
  std::span<const double> keys;
  std::span<const double> values;
};

// All that a linear mechanism remembers of the past; its size does not grow with the text.
struct LinearAttentionState {
  LinearAttentionState(std::int64_t key_dim, std::int64_t value_dim)
      : memory(static_cast<std::size_t>(key_dim * value_dim)),
        normalizer(static_cast<std::size_t>(key_dim)) {}
  std::vector<double> memory;      // S [key_dim, value_dim]
  std::vector<double> normalizer;  // z [key_dim], the sum of phi(k); of elu + 1 only
};

// phi(x) = elu(x) + 1: x + 1 above 0, exp(x) below; always positive.
double elu_plus_one(double x);

// o_t = phi(q_t) S_t / (phi(q_t) z_t + 1e-6), S_t = sum over j <= t of phi(k_j) v_j^T, z_t = sum of phi(k_j).
// outputs [T, value_dim].
//
// All pairs at once, as softmax attention is written: O(T^2 (key_dim + value_dim)) time. Begins without a
// past.
void linear_attention_parallel(const LinearAttentionInput& input, std::span<double> outputs);
// Token by token with the state: O(T key_dim value_dim) time. `state` is the past, and afterwards holds these
// tokens too.
void linear_attention_recurrent(const LinearAttentionInput& input, LinearAttentionState& state,
                                std::span<double> outputs);
// Pairs within chunks of `chunk` tokens, the state between them: O(T (chunk + key_dim) value_dim) time, and
// work for matrix units.
void linear_attention_chunked(const LinearAttentionInput& input, std::int64_t chunk,
                              LinearAttentionState& state, std::span<double> outputs);

}  // namespace tessera::kernels::ref
