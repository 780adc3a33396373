// Norms, activations, rotary embedding, softmax and sums, one row at a time.
#include <algorithm>
#include <cmath>

#include "kernels/ref/normalization.h"
#include "kernels/ref/ref.h"

namespace tessera::kernels::ref {
namespace {

// x σ(x) (Elfwing et al. 2017)
float silu(float x) { return static_cast<float>(double{x} / (1.0 + std::exp(-double{x}))); }

// x Φ(x) (Hendrycks & Gimpel 2016)
float gelu(float x) { return static_cast<float>(0.5 * double{x} * std::erfc(-double{x} / std::sqrt(2.0))); }

// The same paper's approximation, 0.5 x (1 + tanh u) with u = √(2/π) (x + 0.044715 x³), written as x / (1 +
// exp(-2u)) so that 1 + tanh u does not cancel where tanh u nears -1.
float gelu_tanh(float x) {
  constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
  const double inner = kSqrtTwoOverPi * (double{x} + 0.044715 * double{x} * x * x);
  return static_cast<float>(double{x} / (1.0 + std::exp(-2.0 * inner)));
}

float relu(float x) { return x < 0.0F ? 0.0F : x; }  // NaN stays NaN

template <float (*kFunction)(float)>
void activate(const float* x, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = kFunction(x[i]);
}

// SwiGLU, GeGLU, ReGLU (Shazeer 2020)
template <float (*kFunction)(float)>
void gated(const float* gate, const float* up, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = kFunction(gate[i]) * up[i];
}

}  // namespace

void rms_norm(const float* x, const float* weight, float* y, std::int64_t count, float epsilon,
              float weight_offset) {
  rms_norm_row(x, weight, y, count, double{epsilon}, double{weight_offset});
}

void layer_norm(const float* x, const float* weight, const float* bias, float* y, std::int64_t count,
                float epsilon) {
  layer_norm_row(x, weight, bias, y, count, double{epsilon});
}

// Su et al. 2021, equation 34, with the pairs (i, i + pairs)
void rotary_half(float* x, const float* cosines, const float* sines, std::int64_t pairs) {
  for (std::int64_t i = 0; i < pairs; ++i) {
    const double a = x[i];
    const double b = x[i + pairs];
    x[i] = static_cast<float>(a * double{cosines[i]} - b * double{sines[i]});
    x[i + pairs] = static_cast<float>(b * double{cosines[i]} + a * double{sines[i]});
  }
}

// Su et al. 2021, equation 34, as printed: neighbouring elements are a pair
void rotary_interleaved(float* x, const float* cosines, const float* sines, std::int64_t pairs) {
  for (std::int64_t i = 0; i < pairs; ++i) {
    const double a = x[2 * i];
    const double b = x[2 * i + 1];
    x[2 * i] = static_cast<float>(a * double{cosines[i]} - b * double{sines[i]});
    x[2 * i + 1] = static_cast<float>(b * double{cosines[i]} + a * double{sines[i]});
  }
}

void add(const float* a, const float* b, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

void scale(float* x, float factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) x[i] *= factor;
}

// Gemma 2 report (2024), section 2
void softcap(float* x, float cap, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    x[i] = static_cast<float>(double{cap} * std::tanh(double{x[i]} / double{cap}));
  }
}

void softmax(float* x, std::int64_t count) {
  const float maximum = *std::max_element(x, x + count);
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += std::exp(double{x[i]} - double{maximum});
  for (std::int64_t i = 0; i < count; ++i) {
    x[i] = static_cast<float>(std::exp(double{x[i]} - double{maximum}) / sum);
  }
}

void fill_activations(KernelTable& table) {
  const auto set = [&](ActivationKind kind, ActivationKernel plain, GatedActivationKernel gate) {
    table.activate[static_cast<std::size_t>(kind)] = plain;
    table.gated_activation[static_cast<std::size_t>(kind)] = gate;
  };
  set(ActivationKind::silu, activate<silu>, gated<silu>);
  set(ActivationKind::gelu, activate<gelu>, gated<gelu>);
  set(ActivationKind::gelu_tanh, activate<gelu_tanh>, gated<gelu_tanh>);
  set(ActivationKind::relu, activate<relu>, gated<relu>);
}

}  // namespace tessera::kernels::ref
