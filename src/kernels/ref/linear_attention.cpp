#include "kernels/ref/linear_attention.h"

#include <algorithm>
#include <cmath>

namespace tessera::kernels::ref {
namespace {

constexpr double kEpsilon = 1e-6;  // of the definition; keeps an empty sum from dividing by zero

double feature_product(std::span<const double> query, std::span<const double> key) {
  double sum = 0;
  for (std::size_t d = 0; d < query.size(); ++d) sum += elu_plus_one(query[d]) * elu_plus_one(key[d]);
  return sum;
}

// Row `index` of a matrix with rows of `width`.
template <typename Number>
std::span<Number> row(std::span<Number> matrix, std::int64_t index, std::int64_t width) {
  return matrix.subspan(static_cast<std::size_t>(index * width), static_cast<std::size_t>(width));
}

// Adds phi(q) S to `output` and returns phi(q) z.
double read_state(const LinearAttentionState& state, std::span<const double> query,
                  std::span<double> output) {
  double weight = 0;
  for (std::size_t d = 0; d < query.size(); ++d) {
    const double feature = elu_plus_one(query[d]);
    weight += feature * state.normalizer[d];
    for (std::size_t e = 0; e < output.size(); ++e)
      output[e] += feature * state.memory[d * output.size() + e];
  }
  return weight;
}

// S += phi(k) v^T, z += phi(k).
void write_state(LinearAttentionState& state, std::span<const double> key, std::span<const double> value) {
  for (std::size_t d = 0; d < key.size(); ++d) {
    const double feature = elu_plus_one(key[d]);
    state.normalizer[d] += feature;
    for (std::size_t e = 0; e < value.size(); ++e) state.memory[d * value.size() + e] += feature * value[e];
  }
}

// Adds what tokens [begin, t] weigh and say to row t, and divides; `weight` is what the past weighed.
void finish_row(const LinearAttentionInput& input, std::int64_t begin, std::int64_t t, double weight,
                std::span<double> output) {
  const auto query = row(input.queries, t, input.key_dim);
  for (std::int64_t j = begin; j <= t; ++j) {
    const double score = feature_product(query, row(input.keys, j, input.key_dim));
    const auto value = row(input.values, j, input.value_dim);
    weight += score;
    for (std::size_t e = 0; e < value.size(); ++e) output[e] += score * value[e];
  }
  for (double& element : output) element /= weight + kEpsilon;
}

}  // namespace

double elu_plus_one(double x) { return x > 0 ? x + 1 : std::exp(x); }

void linear_attention_parallel(const LinearAttentionInput& input, std::span<double> outputs) {
  std::ranges::fill(outputs, 0.0);
  for (std::int64_t t = 0; t < input.T; ++t) finish_row(input, 0, t, 0, row(outputs, t, input.value_dim));
}

void linear_attention_recurrent(const LinearAttentionInput& input, LinearAttentionState& state,
                                std::span<double> outputs) {
  std::ranges::fill(outputs, 0.0);
  for (std::int64_t t = 0; t < input.T; ++t) {
    write_state(state, row(input.keys, t, input.key_dim), row(input.values, t, input.value_dim));
    const auto output = row(outputs, t, input.value_dim);
    const double weight = read_state(state, row(input.queries, t, input.key_dim), output);
    for (double& element : output) element /= weight + kEpsilon;
  }
}

void linear_attention_chunked(const LinearAttentionInput& input, std::int64_t chunk,
                              LinearAttentionState& state, std::span<double> outputs) {
  std::ranges::fill(outputs, 0.0);
  for (std::int64_t begin = 0; begin < input.T; begin += chunk) {
    const std::int64_t end = std::min(begin + chunk, input.T);
    for (std::int64_t t = begin; t < end; ++t) {
      const auto output = row(outputs, t, input.value_dim);
      const double past = read_state(state, row(input.queries, t, input.key_dim), output);
      finish_row(input, begin, t, past, output);
    }
    for (std::int64_t t = begin; t < end; ++t) {
      write_state(state, row(input.keys, t, input.key_dim), row(input.values, t, input.value_dim));
    }
  }
}

}  // namespace tessera::kernels::ref
