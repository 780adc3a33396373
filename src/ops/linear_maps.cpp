#include "ops/linear_maps.h"

#include <algorithm>
#include <cmath>

#include "base/thread_pool.h"
#include "ops/backward.h"
#include "ops/check.h"
#include "ops/grain.h"

namespace tessera::ops {
namespace {

// exp takes about ten times as long as what kElementGrain is made for.
constexpr std::int64_t kGrain = kElementGrain / 8;

template <typename Function>
void for_each_element(std::int64_t count, const Function& function) {
  thread_pool().parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) function(i);
  });
}

// y = value(x); dx (+)= dy slope(x, y), element by element.
template <typename Value, typename Slope>
Tensor map(const Tensor& x, const char* name, Value value, Slope slope) {
  expect_f32(x, name);
  Tensor y = Tensor::empty(x.shape());
  const float* source = x.as<float>().data();
  float* target = y.as_mutable<float>().data();
  for_each_element(x.elements(), [&](std::int64_t i) { target[i] = value(source[i]); });
  autograd::Tape* tape = autograd::tape_for({&x});
  if (tape == nullptr) return y;
  tape->record({y}, {x, y}, [x, y, slope](autograd::Tape& t) {
    const Tensor dy = t.gradient(y);
    autograd::GradientWindow window = t.gradient_to_write(x);
    const float* xs = x.as<float>().data();
    const float* ys = y.as<float>().data();
    const float* upstream = dy.as<float>().data();
    float* dx = window.values.as_mutable<float>().data();
    for_each_element(x.elements(), [&](std::int64_t i) {
      const float own = upstream[i] * slope(xs[i], ys[i]);
      dx[i] = window.accumulate ? dx[i] + own : own;
    });
  });
  return y;
}

// 1 / (1 + exp(-x)) without overflow to NaN at either end.
float logistic(float x) { return 1.0F / (1.0F + std::exp(-x)); }
// log(1 + exp(x)), accurate far below 0 too.
float softplus(float x) { return std::max(x, 0.0F) + std::log1p(std::exp(-std::abs(x))); }

float normalizing_factor(const float* row, std::int64_t width) {
  constexpr double kEpsilon = 1e-6;
  double squares = 0;
  for (std::int64_t i = 0; i < width; ++i) squares += double{row[i]} * double{row[i]};
  return static_cast<float>(1 / std::sqrt(squares + kEpsilon));
}

// y = f x with f = (x . x + eps)^{-1/2}: dx = f dy - f^3 (x . dy) x = f (dy - (y . dy) y).
void l2_normalize_backward(autograd::Tape& tape, const Tensor& x, const Tensor& y) {
  const Tensor dy = tape.gradient(y);
  autograd::GradientWindow window = tape.gradient_to_write(x);
  const std::int64_t width = x.dim(-1);
  const float* xs = x.as<float>().data();
  const float* ys = y.as<float>().data();
  const float* upstream = dy.as<float>().data();
  float* dx = window.values.as_mutable<float>().data();
  thread_pool().parallel_for(
      x.elements() / width, row_grain(width), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t at = begin * width; at < end * width; at += width) {
          const float factor = normalizing_factor(xs + at, width);
          double along = 0;
          for (std::int64_t i = 0; i < width; ++i) along += double{ys[at + i]} * double{upstream[at + i]};
          for (std::int64_t i = 0; i < width; ++i) {
            const float own = factor * (upstream[at + i] - static_cast<float>(along) * ys[at + i]);
            dx[at + i] = window.accumulate ? dx[at + i] + own : own;
          }
        }
      });
}

// With s = softplus(x + b) and y = -e^A s: dA = sum of dy y, db = sum of dx, dx = -e^A dy sigmoid(x + b).
void decay_gate_backward(autograd::Tape& tape, const Tensor& x, const Tensor& a_log, const Tensor& dt_bias,
                         const Tensor& y) {
  const Tensor dy = tape.gradient(y);
  const std::int64_t heads = x.dim(1);
  Tensor dx = Tensor::empty(x.shape());
  Tensor da = Tensor::zeros(a_log.shape());
  Tensor db = Tensor::zeros(dt_bias.shape());
  for (std::int64_t i = 0; i < x.elements(); ++i) {  // in the order of tokens: sums do not depend on threads
    const auto at = static_cast<std::size_t>(i);
    const auto head = static_cast<std::size_t>(i % heads);
    const float upstream = dy.as<float>()[at];
    const float slope =
        -std::exp(a_log.as<float>()[head]) * logistic(x.as<float>()[at] + dt_bias.as<float>()[head]);
    dx.as_mutable<float>()[at] = upstream * slope;
    da.as_mutable<float>()[head] += upstream * y.as<float>()[at];
    db.as_mutable<float>()[head] += upstream * slope;
  }
  if (tape.tracks(x)) add_gradient(tape.gradient_to_write(x), dx);
  if (tape.tracks(a_log)) add_gradient(tape.gradient_to_write(a_log), da);
  if (tape.tracks(dt_bias)) add_gradient(tape.gradient_to_write(dt_bias), db);
}

}  // namespace

Tensor elu_plus_one(const Tensor& x) {
  return map(
      x, "elu_plus_one: x", [](float v) { return v > 0 ? v + 1.0F : std::exp(v); },
      [](float v, float y) { return v > 0 ? 1.0F : y; });
}

Tensor sigmoid(const Tensor& x) {
  return map(
      x, "sigmoid: x", [](float v) { return logistic(v); },
      [](float /*v*/, float y) { return y * (1.0F - y); });
}

Tensor log_sigmoid(const Tensor& x, float factor) {
  return map(
      x, "log_sigmoid: x", [factor](float v) { return -factor * softplus(-v); },
      [factor](float v, float /*y*/) { return factor * logistic(-v); });
}

Tensor l2_normalize(const Tensor& x) {
  expect_f32(x, "l2_normalize: x");
  Tensor y = Tensor::empty(x.shape());
  const std::int64_t width = x.dim(-1);
  const float* source = x.as<float>().data();
  float* target = y.as_mutable<float>().data();
  thread_pool().parallel_for(x.elements() / width, row_grain(width),
                             [&](std::int64_t begin, std::int64_t end) {
                               for (std::int64_t at = begin * width; at < end * width; at += width) {
                                 const float factor = normalizing_factor(source + at, width);
                                 for (std::int64_t i = 0; i < width; ++i)
                                   target[at + i] = factor * source[at + i];
                               }
                             });
  if (autograd::Tape* tape = autograd::tape_for({&x})) {
    tape->record({y}, {x, y}, [x, y](autograd::Tape& t) { l2_normalize_backward(t, x, y); });
  }
  return y;
}

Tensor decay_gate(const Tensor& x, const Tensor& a_log, const Tensor& dt_bias) {
  expect_f32(x, "decay_gate: x");
  expect_rank(x, 2, "decay_gate: x");
  expect_shape(a_log, {x.dim(1)}, "decay_gate: a_log");
  expect_shape(dt_bias, {x.dim(1)}, "decay_gate: dt_bias");
  Tensor y = Tensor::empty(x.shape());
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    const auto head = static_cast<std::size_t>(i % x.dim(1));
    const float argument = x.as<float>()[static_cast<std::size_t>(i)] + dt_bias.as<float>()[head];
    y.as_mutable<float>()[static_cast<std::size_t>(i)] =
        -std::exp(a_log.as<float>()[head]) * softplus(argument);
  }
  if (autograd::Tape* tape = autograd::tape_for({&x, &a_log, &dt_bias})) {
    const auto back = [x, a_log, dt_bias, y](autograd::Tape& t) {
      decay_gate_backward(t, x, a_log, dt_bias, y);
    };
    tape->record({y}, {x, a_log, dt_bias, y}, back);
  }
  return y;
}

}  // namespace tessera::ops
