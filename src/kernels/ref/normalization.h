// The norms' scalar specification over the element type: float32 in the kernel table, float64 where finite
// differences check their gradients (kernels/ref/training.h).
#pragma once
#include <cmath>
#include <cstdint>

namespace tessera::kernels::ref {

// Zhang & Sennrich 2019, equation 4
template <typename Real>
void rms_norm_row(const Real* x, const Real* weight, Real* y, std::int64_t count, double epsilon,
                  double weight_offset) {
  double squares = 0;
  for (std::int64_t i = 0; i < count; ++i) squares += double{x[i]} * double{x[i]};
  const double factor = 1.0 / std::sqrt(squares / static_cast<double>(count) + epsilon);
  for (std::int64_t i = 0; i < count; ++i) {
    y[i] = static_cast<Real>(double{x[i]} * factor * (double{weight[i]} + weight_offset));
  }
}

// Ba et al. 2016, with the biased variance; bias may be null.
template <typename Real>
void layer_norm_row(const Real* x, const Real* weight, const Real* bias, Real* y, std::int64_t count,
                    double epsilon) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += double{x[i]};
  const double mean = sum / static_cast<double>(count);
  double squares = 0;
  for (std::int64_t i = 0; i < count; ++i) squares += (double{x[i]} - mean) * (double{x[i]} - mean);
  const double factor = 1.0 / std::sqrt(squares / static_cast<double>(count) + epsilon);
  for (std::int64_t i = 0; i < count; ++i) {
    const double shift = bias != nullptr ? double{bias[i]} : 0.0;
    y[i] = static_cast<Real>((double{x[i]} - mean) * factor * double{weight[i]} + shift);
  }
}

}  // namespace tessera::kernels::ref
