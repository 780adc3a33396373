// exp, tanh and the activations as vectors. Included by the translation units of one ISA after its vector
// header.
#pragma once
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::TESSERA_ISA {

// exp(x) = 2^n exp(r) with n = round(x / ln 2), |r| <= ln(2) / 2 = 0.3466. The Taylor sum to r^7 leaves a
// relative r^8 / 8! <= 5.2e-9, a tenth of the unit roundoff 6e-8; ln 2 is subtracted in two parts (Cody &
// Waite 1980), the first with 9 significant bits so that n times it is exact for |n| < 2^15. Measured against
// double: within 2 units in the last place. exp(-inf) = 0, exp(NaN) = NaN.
TESSERA_INLINE Float exponential(Float x) {
  const Float clamped = minimum(broadcast(89.0F), maximum(broadcast(-105.0F), x));  // beyond: infinity, zero
  const Float n = round_to_even(multiply(clamped, broadcast(1.44269504F)));
  Float r = subtract_product(n, broadcast(0.693359375F), clamped);
  r = subtract_product(n, broadcast(-2.12194440e-4F), r);
  Float sum = broadcast(1.0F / 5040);
  sum = multiply_add(sum, r, broadcast(1.0F / 720));
  sum = multiply_add(sum, r, broadcast(1.0F / 120));
  sum = multiply_add(sum, r, broadcast(1.0F / 24));
  sum = multiply_add(sum, r, broadcast(1.0F / 6));
  sum = multiply_add(sum, r, broadcast(0.5F));
  sum = multiply_add(sum, r, broadcast(1.0F));
  sum = multiply_add(sum, r, broadcast(1.0F));
  return scale_by_power(sum, n);
}

// tanh(x) = 1 - 2 / (exp(2|x|) + 1) with the sign of x; below 0.4, where that would cancel, the Taylor sum to
// x^13 (next term relative: 1.5e-3 x^14 <= 4e-9).
TESSERA_INLINE Float hyperbolic_tangent(Float x) {
  const Float magnitude = absolute(x);
  const Float e = exponential(add(magnitude, magnitude));
  const Float large = subtract(broadcast(1.0F), divide(broadcast(2.0F), add(e, broadcast(1.0F))));
  const Float square = multiply(x, x);
  Float sum = broadcast(21844.0F / 6081075.0F);
  sum = multiply_add(sum, square, broadcast(-1382.0F / 155925.0F));
  sum = multiply_add(sum, square, broadcast(62.0F / 2835.0F));
  sum = multiply_add(sum, square, broadcast(-17.0F / 315.0F));
  sum = multiply_add(sum, square, broadcast(2.0F / 15.0F));
  sum = multiply_add(sum, square, broadcast(-1.0F / 3.0F));
  const Float small = multiply_add(multiply(sum, square), magnitude, magnitude);
  return copy_sign(select_less(magnitude, broadcast(0.4F), small, large), x);
}

struct Silu {
  TESSERA_INLINE static Float apply(Float x) {
    return divide(x, add(broadcast(1.0F), exponential(subtract(zero(), x))));
  }
};

// 0.5 x (1 + tanh u) = x / (1 + exp(-2u)): the form without cancellation.
struct GeluTanh {
  TESSERA_INLINE static Float apply(Float x) {
    const Float inner = multiply_add(multiply(broadcast(0.044715F), multiply(x, x)), x, x);
    const Float minus_twice = multiply(broadcast(-1.59576912F), inner);  // -2 sqrt(2 / pi)
    return divide(x, add(broadcast(1.0F), exponential(minus_twice)));
  }
};

struct Relu {
  TESSERA_INLINE static Float apply(Float x) { return maximum(zero(), x); }  // NaN stays NaN
};

}  // namespace tessera::kernels::TESSERA_ISA
