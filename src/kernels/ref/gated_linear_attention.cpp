#include "kernels/ref/gated_linear_attention.h"

#include <algorithm>
#include <cmath>

namespace tessera::kernels::ref {
namespace {

std::size_t at(std::int64_t row, std::int64_t column, std::int64_t width) {
  return static_cast<std::size_t>(row * width + column);
}

// G [T, key_dim]: the running sum of the log gates from token `begin` on, itself included.
std::vector<double> running_sums(std::span<const double> log_gates, std::int64_t begin, std::int64_t end,
                                 std::int64_t width) {
  std::vector<double> sums(log_gates.begin() + begin * width, log_gates.begin() + end * width);
  for (std::size_t i = static_cast<std::size_t>(width); i < sums.size(); ++i) sums[i] += sums[i - width];
  return sums;
}

// Adds to row t what tokens [begin, t] say; sums are counted from `begin`.
void add_pairs(const LinearAttentionInput& input, std::span<const double> sums, double scale,
               std::int64_t begin, std::int64_t t, std::span<double> outputs) {
  for (std::int64_t j = begin; j <= t; ++j) {
    double score = 0;
    for (std::int64_t d = 0; d < input.key_dim; ++d) {
      const double decay =
          std::exp(sums[at(t - begin, d, input.key_dim)] - sums[at(j - begin, d, input.key_dim)]);
      score += input.queries[at(t, d, input.key_dim)] * input.keys[at(j, d, input.key_dim)] * decay;
    }
    for (std::int64_t e = 0; e < input.value_dim; ++e) {
      outputs[at(t, e, input.value_dim)] += scale * score * input.values[at(j, e, input.value_dim)];
    }
  }
}

}  // namespace

void gated_linear_attention_parallel(const LinearAttentionInput& input, std::span<const double> log_gates,
                                     double scale, std::span<double> outputs) {
  std::ranges::fill(outputs, 0.0);
  const std::vector<double> sums = running_sums(log_gates, 0, input.T, input.key_dim);
  for (std::int64_t t = 0; t < input.T; ++t) add_pairs(input, sums, scale, 0, t, outputs);
}

void gated_linear_attention_recurrent(const LinearAttentionInput& input, std::span<const double> log_gates,
                                      double scale, LinearAttentionState& state, std::span<double> outputs) {
  std::ranges::fill(outputs, 0.0);
  for (std::int64_t t = 0; t < input.T; ++t) {
    for (std::int64_t d = 0; d < input.key_dim; ++d) {
      const double decay = std::exp(log_gates[at(t, d, input.key_dim)]);
      for (std::int64_t e = 0; e < input.value_dim; ++e) {
        double& memory = state.memory[at(d, e, input.value_dim)];
        memory =
            decay * memory + input.keys[at(t, d, input.key_dim)] * input.values[at(t, e, input.value_dim)];
        outputs[at(t, e, input.value_dim)] += scale * input.queries[at(t, d, input.key_dim)] * memory;
      }
    }
  }
}

void gated_linear_attention_chunked(const LinearAttentionInput& input, std::span<const double> log_gates,
                                    double scale, std::int64_t chunk, LinearAttentionState& state,
                                    std::span<double> outputs) {
  std::ranges::fill(outputs, 0.0);
  for (std::int64_t begin = 0; begin < input.T; begin += chunk) {
    const std::int64_t end = std::min(begin + chunk, input.T);
    const std::vector<double> sums = running_sums(log_gates, begin, end, input.key_dim);
    for (std::int64_t t = begin; t < end; ++t) {
      // o_t += (q_t * exp(G_t)) S
      for (std::int64_t d = 0; d < input.key_dim; ++d) {
        const double query =
            scale * input.queries[at(t, d, input.key_dim)] * std::exp(sums[at(t - begin, d, input.key_dim)]);
        for (std::int64_t e = 0; e < input.value_dim; ++e) {
          outputs[at(t, e, input.value_dim)] += query * state.memory[at(d, e, input.value_dim)];
        }
      }
      add_pairs(input, sums, scale, begin, t, outputs);
    }
    // S = diag(exp(G_end)) S + sum over j of (k_j * exp(G_end - G_j)) v_j^T
    for (std::int64_t d = 0; d < input.key_dim; ++d) {
      const double last = sums[at(end - 1 - begin, d, input.key_dim)];
      for (std::int64_t e = 0; e < input.value_dim; ++e) {
        double sum = std::exp(last) * state.memory[at(d, e, input.value_dim)];
        for (std::int64_t j = begin; j < end; ++j) {
          sum += input.keys[at(j, d, input.key_dim)] *
                 std::exp(last - sums[at(j - begin, d, input.key_dim)]) *
                 input.values[at(j, e, input.value_dim)];
        }
        state.memory[at(d, e, input.value_dim)] = sum;
      }
    }
  }
}

}  // namespace tessera::kernels::ref
