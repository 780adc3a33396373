// The normal distribution as vectors, for GELU in its exact form. Included by the translation units of one
// ISA after its vector header.
#pragma once
#include "kernels/cpu/math.h"

namespace tessera::kernels::TESSERA_ISA {

struct NormalDistribution {
  Float cumulative;  // Phi(x)
  Float density;     // phi(x)
};

// With a = |x|, Phi(-a) = exp(-a^2 / 2) R(a), R Mills' ratio over sqrt(2 pi): (a + 2.5) R(a) is a polynomial
// of degree 10 in t = (a - 2.5) / (a + 2.5), fitted on [0, 14.5] by least squares of the relative error, 0.12
// units; evaluated in float32 R is within 4 units in the last place. The square of a is kept in two parts,
// because exp would magnify its rounding. Above 14.5 exp has underflowed.
TESSERA_INLINE NormalDistribution normal_distribution(Float x) {
  const Float a = minimum(broadcast(15.0F), absolute(x));
  const Float inverse = divide(broadcast(1.0F), add(a, broadcast(2.5F)));
  const Float t = multiply(subtract(a, broadcast(2.5F)), inverse);
  Float sum = broadcast(-2.58889522e-05F);
  sum = multiply_add(sum, t, broadcast(-0.000192909036F));
  sum = multiply_add(sum, t, broadcast(-0.000286516413F));
  sum = multiply_add(sum, t, broadcast(0.000726838363F));
  sum = multiply_add(sum, t, broadcast(0.00251643383F));
  sum = multiply_add(sum, t, broadcast(-0.00161810557F));
  sum = multiply_add(sum, t, broadcast(-0.0163854212F));
  sum = multiply_add(sum, t, broadcast(0.00923850667F));
  sum = multiply_add(sum, t, broadcast(0.131986946F));
  sum = multiply_add(sum, t, broadcast(-0.433692127F));
  sum = multiply_add(sum, t, broadcast(0.706656635F));
  const Float square = multiply(a, a);
  const Float lost = multiply_add(a, a, subtract(zero(), square));
  const Float e = exponential(multiply(square, broadcast(-0.5F)));
  const Float bell = subtract_product(multiply(e, broadcast(0.5F)), lost, e);
  const Float tail = multiply(multiply(sum, inverse), bell);  // Phi(-a)
  return {select_less(x, zero(), tail, subtract(broadcast(1.0F), tail)),
          multiply(bell, broadcast(0.398942280F))};
}

struct Gelu {
  TESSERA_INLINE static Float apply(Float x) { return multiply(x, normal_distribution(x).cumulative); }
};

}  // namespace tessera::kernels::TESSERA_ISA
