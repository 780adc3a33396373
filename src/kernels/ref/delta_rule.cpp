#include "kernels/ref/delta_rule.h"

#include <algorithm>
#include <cmath>

namespace tessera::kernels::ref {
namespace {

std::size_t at(std::int64_t row, std::int64_t column, std::int64_t width) {
  return static_cast<std::size_t>(row * width + column);
}

double log_gate(const DeltaRuleInput& input, std::int64_t t) {
  return input.log_gates.empty() ? 0 : input.log_gates[static_cast<std::size_t>(t)];
}

double product(std::span<const double> left, std::int64_t left_row, std::span<const double> right,
               std::int64_t right_row, std::int64_t width) {
  double sum = 0;
  for (std::int64_t d = 0; d < width; ++d)
    sum += left[at(left_row, d, width)] * right[at(right_row, d, width)];
  return sum;
}

// One chunk [begin, end) upon the state before it. The sums G count from the chunk's beginning.
class Chunk {
 public:
  Chunk(const DeltaRuleInput& input, std::int64_t begin, std::int64_t end)
      : input_(input), heads_(input.heads), begin_(begin), end_(end) {
    double sum = 0;
    for (std::int64_t t = begin; t < end; ++t) sums_.push_back(sum += log_gate(input, t));
    writes_.resize(static_cast<std::size_t>((end - begin) * heads_.value_dim));
  }

  // u_t = beta_t (v_t - exp(G_t) S^T k_t - sum over j < t of exp(G_t - G_j) (k_t . k_j) u_j), row after row.
  void solve_writes(std::span<const double> memory) {
    for (std::int64_t t = begin_; t < end_; ++t) {
      for (std::int64_t e = 0; e < heads_.value_dim; ++e) {
        double recalled = std::exp(sum_at(t)) * read(memory, heads_.keys, t, e);
        for (std::int64_t j = begin_; j < t; ++j) {
          recalled += decay(t, j) * product(heads_.keys, t, heads_.keys, j, heads_.key_dim) * write_at(j, e);
        }
        write_at(t, e) = input_.betas[static_cast<std::size_t>(t)] *
                         (heads_.values[at(t, e, heads_.value_dim)] - recalled);
      }
    }
  }

  // o_t = scale (exp(G_t) q_t S + sum over j <= t of exp(G_t - G_j) (q_t . k_j) u_j)
  void read_outputs(std::span<const double> memory, std::span<double> outputs) {
    for (std::int64_t t = begin_; t < end_; ++t) {
      for (std::int64_t e = 0; e < heads_.value_dim; ++e) {
        double sum = std::exp(sum_at(t)) * read(memory, heads_.queries, t, e);
        for (std::int64_t j = begin_; j <= t; ++j) {
          sum += decay(t, j) * product(heads_.queries, t, heads_.keys, j, heads_.key_dim) * write_at(j, e);
        }
        outputs[at(t, e, heads_.value_dim)] = input_.scale * sum;
      }
    }
  }

  // S = exp(G_end) S + sum over j of exp(G_end - G_j) k_j u_j^T
  void advance(std::span<double> memory) {
    for (std::int64_t d = 0; d < heads_.key_dim; ++d) {
      for (std::int64_t e = 0; e < heads_.value_dim; ++e) {
        double sum = std::exp(sum_at(end_ - 1)) * memory[at(d, e, heads_.value_dim)];
        for (std::int64_t j = begin_; j < end_; ++j) {
          sum += decay(end_ - 1, j) * heads_.keys[at(j, d, heads_.key_dim)] * write_at(j, e);
        }
        memory[at(d, e, heads_.value_dim)] = sum;
      }
    }
  }

 private:
  double sum_at(std::int64_t t) const { return sums_[static_cast<std::size_t>(t - begin_)]; }
  double decay(std::int64_t t, std::int64_t j) const { return std::exp(sum_at(t) - sum_at(j)); }
  double& write_at(std::int64_t t, std::int64_t e) { return writes_[at(t - begin_, e, heads_.value_dim)]; }
  // Element e of x_t S.
  double read(std::span<const double> memory, std::span<const double> rows, std::int64_t t,
              std::int64_t e) const {
    double sum = 0;
    for (std::int64_t d = 0; d < heads_.key_dim; ++d) {
      sum += rows[at(t, d, heads_.key_dim)] * memory[at(d, e, heads_.value_dim)];
    }
    return sum;
  }

  const DeltaRuleInput& input_;
  const LinearAttentionInput& heads_;
  std::int64_t begin_;
  std::int64_t end_;
  std::vector<double> sums_;    // G
  std::vector<double> writes_;  // u [end - begin, value_dim]
};

}  // namespace

void delta_rule_parallel(const DeltaRuleInput& input, std::span<double> outputs) {
  LinearAttentionState nothing(input.heads.key_dim, input.heads.value_dim);
  delta_rule_chunked(input, std::max<std::int64_t>(1, input.heads.T), nothing, outputs);
}

void delta_rule_recurrent(const DeltaRuleInput& input, LinearAttentionState& state,
                          std::span<double> outputs) {
  const LinearAttentionInput& heads = input.heads;
  for (std::int64_t t = 0; t < heads.T; ++t) {
    const double kept = std::exp(log_gate(input, t));
    for (double& memory : state.memory) memory *= kept;
    for (std::int64_t e = 0; e < heads.value_dim; ++e) {
      double recalled = 0;
      for (std::int64_t d = 0; d < heads.key_dim; ++d) {
        recalled += heads.keys[at(t, d, heads.key_dim)] * state.memory[at(d, e, heads.value_dim)];
      }
      const double write =
          input.betas[static_cast<std::size_t>(t)] * (heads.values[at(t, e, heads.value_dim)] - recalled);
      double output = 0;
      for (std::int64_t d = 0; d < heads.key_dim; ++d) {
        double& memory = state.memory[at(d, e, heads.value_dim)];
        memory += heads.keys[at(t, d, heads.key_dim)] * write;
        output += heads.queries[at(t, d, heads.key_dim)] * memory;
      }
      outputs[at(t, e, heads.value_dim)] = input.scale * output;
    }
  }
}

void delta_rule_chunked(const DeltaRuleInput& input, std::int64_t chunk, LinearAttentionState& state,
                        std::span<double> outputs) {
  for (std::int64_t begin = 0; begin < input.heads.T; begin += chunk) {
    Chunk part(input, begin, std::min(begin + chunk, input.heads.T));
    part.solve_writes(state.memory);
    part.read_outputs(state.memory, outputs);
    part.advance(state.memory);
  }
}

void l2_normalize_rows(std::span<double> rows, std::int64_t width, double epsilon) {
  for (std::size_t begin = 0; begin < rows.size(); begin += static_cast<std::size_t>(width)) {
    const auto row = rows.subspan(begin, static_cast<std::size_t>(width));
    double squares = 0;
    for (const double x : row) squares += x * x;
    for (double& x : row) x /= std::sqrt(squares + epsilon);
  }
}

}  // namespace tessera::kernels::ref
