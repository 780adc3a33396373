// The scalar specification of the training kernels: equations and sources, sums in double. Templates over the
// element type, so that the same text runs in float32 (the table) and in float64, where finite differences of
// a forward tell whether its backward is right.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/training_table.h"

namespace tessera::kernels::ref {

template <typename Real>
Real activation(ActivationKind kind, Real value) {
  const double x{value};
  constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
  switch (kind) {
    case ActivationKind::silu:
      return static_cast<Real>(x / (1.0 + std::exp(-x)));
    case ActivationKind::gelu:
      return static_cast<Real>(0.5 * x * std::erfc(-x / std::sqrt(2.0)));
    case ActivationKind::gelu_tanh:
      return static_cast<Real>(x / (1.0 + std::exp(-2.0 * kSqrtTwoOverPi * (x + 0.044715 * x * x * x))));
    default:
      return static_cast<Real>(x < 0 ? 0.0 : x);
  }
}

// f'(x). silu: s (1 + x (1 - s)), s = sigma(x). gelu: Phi(x) + x phi(x). gelu_tanh is x sigma(2u), so its
// derivative is s + 2 x s (1 - s) u', s = sigma(2u), u' = sqrt(2 / pi) (1 + 3 * 0.044715 x^2). relu: 0 at 0.
template <typename Real>
Real activation_derivative(ActivationKind kind, Real value) {
  const double x{value};
  constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
  switch (kind) {
    case ActivationKind::silu: {
      const double s = 1.0 / (1.0 + std::exp(-x));
      return static_cast<Real>(s * (1.0 + x * (1.0 - s)));
    }
    case ActivationKind::gelu:
      return static_cast<Real>(0.5 * std::erfc(-x / std::sqrt(2.0)) +
                               x * std::exp(-0.5 * x * x) * 0.39894228040143267794);
    case ActivationKind::gelu_tanh: {
      const double s = 1.0 / (1.0 + std::exp(-2.0 * kSqrtTwoOverPi * (x + 0.044715 * x * x * x)));
      const double slope = kSqrtTwoOverPi * (1.0 + 3.0 * 0.044715 * x * x);
      return static_cast<Real>(s + 2.0 * x * s * (1.0 - s) * slope);
    }
    default:
      return static_cast<Real>(x > 0 ? 1.0 : 0.0);
  }
}

// y = x r (w + o), r = (mean(x^2) + eps)^(-1/2) (Zhang & Sennrich 2019). With g = dy (w + o):
//   dx = r g - x r^3 mean(g x),   dw += dy x r.
template <typename Real>
void rms_norm_gradient(const Real* x, const Real* weight, const Real* dy, Real* dx, Real* dweight,
                       std::int64_t count, double epsilon, double offset, bool accumulate) {
  double squares = 0;
  double product = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    squares += double{x[i]} * double{x[i]};
    product += double{dy[i]} * (double{weight[i]} + offset) * double{x[i]};
  }
  const double length = static_cast<double>(count);
  const double r = 1.0 / std::sqrt(squares / length + epsilon);
  const double shared = r * r * r * product / length;
  for (std::int64_t i = 0; i < count; ++i) {
    const double own = r * double{dy[i]} * (double{weight[i]} + offset) - double{x[i]} * shared;
    if (dweight != nullptr) dweight[i] += static_cast<Real>(double{dy[i]} * double{x[i]} * r);
    if (dx != nullptr) dx[i] = static_cast<Real>((accumulate ? double{dx[i]} : 0.0) + own);
  }
}

// y = h w + b, h = (x - mean) r, r = (var + eps)^(-1/2) (Ba et al. 2016). With g = dy w:
//   dx = r (g - mean(g) - h mean(g h)),   dw += dy h,   db += dy.
template <typename Real>
void layer_norm_gradient(const Real* x, const Real* weight, const Real* dy, Real* dx, Real* dweight,
                         Real* dbias, std::int64_t count, double epsilon, bool accumulate) {
  const double length = static_cast<double>(count);
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += double{x[i]};
  const double mean = sum / length;
  double squares = 0;
  for (std::int64_t i = 0; i < count; ++i) squares += (double{x[i]} - mean) * (double{x[i]} - mean);
  const double r = 1.0 / std::sqrt(squares / length + epsilon);
  double mean_g = 0;
  double mean_gh = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double g = double{dy[i]} * double{weight[i]};
    mean_g += g / length;
    mean_gh += g * (double{x[i]} - mean) * r / length;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const double h = (double{x[i]} - mean) * r;
    const double own = r * (double{dy[i]} * double{weight[i]} - mean_g - h * mean_gh);
    if (dweight != nullptr) dweight[i] += static_cast<Real>(double{dy[i]} * h);
    if (dbias != nullptr) dbias[i] += dy[i];
    if (dx != nullptr) dx[i] = static_cast<Real>((accumulate ? double{dx[i]} : 0.0) + own);
  }
}

// Of one row of capped logits y = cap tanh(x / cap), or of x itself when cap is 0; the gradient is p - (1 -
// smoothing) [i = target] - smoothing / V, times 1 - (y / cap)^2 where there is a cap.
template <typename Real>
Real cross_entropy(Real* row, std::int64_t count, std::int64_t target, double smoothing, double cap,
                   double gradient_scale) {
  const double top = static_cast<double>(*std::max_element(row, row + count));
  double total = 0;
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    total += std::exp(double{row[i]} - top);
    sum += double{row[i]};
  }
  const double log_sum = top + std::log(total);
  const double even = 1.0 / static_cast<double>(count);
  const double loss =
      (1.0 - smoothing) * (log_sum - double{row[target]}) + smoothing * (log_sum - sum * even);
  if (gradient_scale == 0.0) return static_cast<Real>(loss);
  for (std::int64_t i = 0; i < count; ++i) {
    const double y{row[i]};
    double gradient = std::exp(y - log_sum) - smoothing * even - (i == target ? 1.0 - smoothing : 0.0);
    if (cap > 0.0) gradient *= 1.0 - (y / cap) * (y / cap);
    row[i] = static_cast<Real>(gradient * gradient_scale);
  }
  return static_cast<Real>(loss);
}

// One head's causal attention by its definition. Rows lie `stride` (queries, outputs) and `kv_stride` apart.
template <typename Real>
struct AttentionHead {
  const Real* query = nullptr;
  const Real* key = nullptr;
  const Real* value = nullptr;
  std::int64_t stride = 0;
  std::int64_t kv_stride = 0;
  std::int64_t tokens = 0;
  std::int64_t head_dim = 0;
  double scale = 1.0;
  std::int64_t sliding_window = 0;
  double softcap = 0.0;
  AttentionDropout dropout = {};
  std::int64_t row_stride = 1;  // row t is number first_row + t * row_stride + row_offset
  std::int64_t row_offset = 0;

  // What dropout makes of p[t, s]: 0 or 1 / (1 - probability), times it.
  double kept(std::int64_t t, std::int64_t s) const {
    if (dropout.threshold == 0) return 1.0;
    const std::uint32_t row = attention_dropout_row(dropout, t * row_stride + row_offset);
    return double{attention_dropout_factor(dropout, row, static_cast<std::uint32_t>(s))};
  }
  std::int64_t first_key(std::int64_t t) const {
    return sliding_window > 0 ? std::max<std::int64_t>(0, t - sliding_window + 1) : 0;
  }
  // The score of key s for query t, capped.
  double score(std::int64_t t, std::int64_t s) const {
    double sum = 0;
    for (std::int64_t d = 0; d < head_dim; ++d) {
      sum += double{query[t * stride + d]} * double{key[s * kv_stride + d]};
    }
    sum *= scale;
    return softcap > 0 ? softcap * std::tanh(sum / softcap) : sum;
  }
  // log sum exp of row t's scores.
  double log_sum(std::int64_t t) const {
    double top = -INFINITY;
    for (std::int64_t s = first_key(t); s <= t; ++s) top = std::max(top, score(t, s));
    double total = 0;
    for (std::int64_t s = first_key(t); s <= t; ++s) total += std::exp(score(t, s) - top);
    return top + std::log(total);
  }
};

// o[t] = sum_s m[t, s] p[t, s] v[s], m what dropout keeps (1 without), p = softmax over the keys that t sees
// (Vaswani et al. 2017, equation 1).
template <typename Real>
void attention_rows(const AttentionHead<Real>& head, std::int64_t begin, std::int64_t end, Real* output,
                    Real* log_sums, std::int64_t log_sum_stride) {
  std::vector<double> mixture(static_cast<std::size_t>(head.head_dim));
  for (std::int64_t t = begin; t < end; ++t) {
    const double log_sum = head.log_sum(t);
    std::fill(mixture.begin(), mixture.end(), 0.0);
    for (std::int64_t s = head.first_key(t); s <= t; ++s) {
      const double p = head.kept(t, s) * std::exp(head.score(t, s) - log_sum);
      for (std::size_t d = 0; d < mixture.size(); ++d) {
        mixture[d] += p * double{head.value[s * head.kv_stride + static_cast<std::int64_t>(d)]};
      }
    }
    for (std::size_t d = 0; d < mixture.size(); ++d) {
      output[t * head.stride + static_cast<std::int64_t>(d)] = static_cast<Real>(mixture[d]);
    }
    if (log_sums != nullptr) log_sums[t * log_sum_stride] = static_cast<Real>(log_sum);
  }
}

// With delta[t] = sum_d do[t, d] o[t, d]:
//   dv[s] += sum_t m[t, s] p[t, s] do[t]
//   dscore[t, s] = p[t, s] (m[t, s] do[t] . v[s] - delta[t])  (1 - (score / cap)^2)
//   dq[t] = scale sum_s dscore[t, s] k[s],   dk[s] += scale sum_t dscore[t, s] q[t]
// (Dao et al. 2022, appendix B.2). dq is written, dk and dv are added to.
template <typename Real>
void attention_gradient(const AttentionHead<Real>& head, const Real* output, const Real* doutput,
                        Real* dquery, Real* dkey, Real* dvalue) {
  std::vector<double> dq(static_cast<std::size_t>(head.head_dim));
  for (std::int64_t t = 0; t < head.tokens; ++t) {
    const double log_sum = head.log_sum(t);
    const Real* dout = doutput + t * head.stride;
    double delta = 0;
    for (std::int64_t d = 0; d < head.head_dim; ++d) {
      delta += double{dout[d]} * double{output[t * head.stride + d]};
    }
    std::fill(dq.begin(), dq.end(), 0.0);
    for (std::int64_t s = head.first_key(t); s <= t; ++s) {
      const double score = head.score(t, s);
      const double p = std::exp(score - log_sum);
      double dp = 0;
      for (std::int64_t d = 0; d < head.head_dim; ++d) {
        dp += double{dout[d]} * double{head.value[s * head.kv_stride + d]};
      }
      const double kept = head.kept(t, s);
      dp *= kept;
      double dscore = p * (dp - delta) * head.scale;
      if (head.softcap > 0) dscore *= 1.0 - (score / head.softcap) * (score / head.softcap);
      for (std::int64_t d = 0; d < head.head_dim; ++d) {
        const std::int64_t at = s * head.kv_stride + d;
        dvalue[at] += static_cast<Real>(kept * p * double{dout[d]});
        dkey[at] += static_cast<Real>(dscore * double{head.query[t * head.stride + d]});
        dq[static_cast<std::size_t>(d)] += dscore * double{head.key[at]};
      }
    }
    for (std::int64_t d = 0; d < head.head_dim; ++d) {
      dquery[t * head.stride + d] = static_cast<Real>(dq[static_cast<std::size_t>(d)]);
    }
  }
}

// All of the above in float32 as Isa::scalar.
TrainingTable make_training_table();

}  // namespace tessera::kernels::ref
