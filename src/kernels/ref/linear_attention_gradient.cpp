#include "kernels/ref/linear_attention_gradient.h"

#include <algorithm>
#include <cmath>

namespace tessera::kernels::ref {
namespace {

using Values = std::vector<double>;

constexpr double kEpsilon = 1e-6;  // of linear_attention.cpp

std::span<const double> row(std::span<const double> rows, std::int64_t index, std::int64_t width) {
  return rows.subspan(static_cast<std::size_t>(index * width), static_cast<std::size_t>(width));
}
std::span<double> row(Values& rows, std::int64_t index, std::int64_t width) {
  return std::span(rows).subspan(static_cast<std::size_t>(index * width), static_cast<std::size_t>(width));
}
double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}
// M [a, b] += factor a b^T.
void add_outer(Values& matrix, double factor, std::span<const double> a, std::span<const double> b) {
  for (std::size_t d = 0; d < a.size(); ++d) {
    for (std::size_t e = 0; e < b.size(); ++e) matrix[d * b.size() + e] += factor * a[d] * b[e];
  }
}
// y += factor M x, and y += factor M^T x.
void add_product(const Values& matrix, double factor, std::span<const double> x, std::span<double> y) {
  for (std::size_t d = 0; d < y.size(); ++d) {
    for (std::size_t e = 0; e < x.size(); ++e) y[d] += factor * matrix[d * x.size() + e] * x[e];
  }
}
void add_transposed(const Values& matrix, double factor, std::span<const double> x, std::span<double> y) {
  for (std::size_t d = 0; d < x.size(); ++d) {
    for (std::size_t e = 0; e < y.size(); ++e) y[e] += factor * matrix[d * y.size() + e] * x[d];
  }
}

LinearAttentionGradients zeros_for(const LinearAttentionInput& input, std::size_t gates, std::size_t betas) {
  return {Values(input.queries.size()), Values(input.keys.size()), Values(input.values.size()), Values(gates),
          Values(betas)};
}

double elu_plus_one_slope(double x) { return x > 0 ? 1 : std::exp(x); }

}  // namespace

LinearAttentionGradients linear_attention_gradient(const LinearAttentionInput& input,
                                                   std::span<const double> doutputs) {
  Values q(input.queries.begin(), input.queries.end()), k(input.keys.begin(), input.keys.end());
  for (Values* features : {&q, &k}) {
    for (double& x : *features) x = elu_plus_one(x);
  }
  LinearAttentionGradients gradients = zeros_for(input, 0, 0);
  for (std::int64_t t = 0; t < input.T; ++t) {
    const auto query = row(std::span<const double>(q), t, input.key_dim);
    const auto dout = row(doutputs, t, input.value_dim);
    Values numerator(static_cast<std::size_t>(input.value_dim));
    double divisor = kEpsilon;
    for (std::int64_t j = 0; j <= t; ++j) {
      const double score = dot(query, row(std::span<const double>(k), j, input.key_dim));
      divisor += score;
      for (std::size_t e = 0; e < numerator.size(); ++e) {
        numerator[e] += score * row(input.values, j, input.value_dim)[e];
      }
    }
    const double shared = dot(dout, numerator) / (divisor * divisor);
    for (std::int64_t j = 0; j <= t; ++j) {
      const auto key = row(std::span<const double>(k), j, input.key_dim);
      const double dscore = dot(dout, row(input.values, j, input.value_dim)) / divisor - shared;
      const double score = dot(query, key);
      for (std::size_t e = 0; e < dout.size(); ++e) {
        row(gradients.values, j, input.value_dim)[e] += score * dout[e] / divisor;
      }
      for (std::size_t d = 0; d < key.size(); ++d) {
        const double slope = elu_plus_one_slope(row(input.queries, t, input.key_dim)[d]);
        row(gradients.queries, t, input.key_dim)[d] += dscore * key[d] * slope;
        row(gradients.keys, j, input.key_dim)[d] +=
            dscore * query[d] * elu_plus_one_slope(row(input.keys, j, input.key_dim)[d]);
      }
    }
  }
  return gradients;
}

LinearAttentionGradients gated_linear_attention_gradient(const LinearAttentionInput& input,
                                                         std::span<const double> log_gates, double scale,
                                                         std::span<const double> doutputs) {
  LinearAttentionGradients gradients = zeros_for(input, log_gates.size(), 0);
  const auto width = static_cast<std::size_t>(input.value_dim);
  std::vector<Values> states{Values(static_cast<std::size_t>(input.key_dim) * width)};
  for (std::int64_t t = 0; t < input.T; ++t) {
    Values state = states.back();
    for (std::size_t i = 0; i < state.size(); ++i) {
      state[i] *= std::exp(row(log_gates, t, input.key_dim)[i / width]);
    }
    add_outer(state, 1, row(input.keys, t, input.key_dim), row(input.values, t, input.value_dim));
    states.push_back(std::move(state));
  }
  Values dstate(states.front().size());
  for (std::int64_t t = input.T - 1; t >= 0; --t) {
    const Values& before = states[static_cast<std::size_t>(t)];
    const auto dout = row(doutputs, t, input.value_dim);
    add_outer(dstate, scale, row(input.queries, t, input.key_dim), dout);
    add_product(states[static_cast<std::size_t>(t) + 1], scale, dout,
                row(gradients.queries, t, input.key_dim));
    add_product(dstate, 1, row(input.values, t, input.value_dim), row(gradients.keys, t, input.key_dim));
    add_transposed(dstate, 1, row(input.keys, t, input.key_dim), row(gradients.values, t, input.value_dim));
    for (std::size_t i = 0; i < dstate.size(); ++i) {
      dstate[i] *= std::exp(row(log_gates, t, input.key_dim)[i / width]);
      row(gradients.log_gates, t, input.key_dim)[i / width] += dstate[i] * before[i];
    }
  }
  return gradients;
}

LinearAttentionGradients delta_rule_gradient(const DeltaRuleInput& input, std::span<const double> doutputs) {
  const LinearAttentionInput& heads = input.heads;
  LinearAttentionGradients gradients = zeros_for(heads, input.log_gates.size(), input.betas.size());
  const auto at = [](std::int64_t t) { return static_cast<std::size_t>(t); };
  const auto kept = [&](std::int64_t t) {
    return input.log_gates.empty() ? 1 : std::exp(input.log_gates[at(t)]);
  };
  std::vector<Values> states{Values(at(heads.key_dim * heads.value_dim))};
  std::vector<Values> misses;
  for (std::int64_t t = 0; t < heads.T; ++t) {
    Values state = states.back();
    for (double& x : state) x *= kept(t);
    const auto value = row(heads.values, t, heads.value_dim);
    Values miss(value.begin(), value.end());
    add_transposed(state, -1, row(heads.keys, t, heads.key_dim), miss);
    add_outer(state, input.betas[at(t)], row(heads.keys, t, heads.key_dim), miss);
    states.push_back(std::move(state));
    misses.push_back(std::move(miss));
  }
  Values dstate(states.front().size());
  for (std::int64_t t = heads.T - 1; t >= 0; --t) {
    const auto key = row(heads.keys, t, heads.key_dim);
    const auto dout = row(doutputs, t, heads.value_dim);
    const Values& miss = misses[at(t)];
    Values decayed = states[at(t)];
    for (double& x : decayed) x *= kept(t);
    add_outer(dstate, input.scale, row(heads.queries, t, heads.key_dim), dout);
    add_product(states[at(t) + 1], input.scale, dout, row(gradients.queries, t, heads.key_dim));
    Values dmiss(miss.size());
    add_transposed(dstate, 1, key, dmiss);  // du
    gradients.betas[at(t)] = dot(dmiss, miss);
    for (double& x : dmiss) x *= input.betas[at(t)];
    std::ranges::copy(dmiss, row(gradients.values, t, heads.value_dim).begin());
    add_product(dstate, input.betas[at(t)], miss, row(gradients.keys, t, heads.key_dim));
    add_product(decayed, -1, dmiss, row(gradients.keys, t, heads.key_dim));
    add_outer(dstate, -1, key, dmiss);
    for (std::size_t i = 0; i < dstate.size(); ++i) {
      if (!input.log_gates.empty()) gradients.log_gates[at(t)] += dstate[i] * decayed[i];
      dstate[i] *= kept(t);
    }
  }
  return gradients;
}

}  // namespace tessera::kernels::ref
