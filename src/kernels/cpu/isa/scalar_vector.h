// The vector vocabulary of no instruction set at all, one lane: shared loops for any CPU.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#define TESSERA_ISA scalar

namespace tessera::kernels::scalar {

using Float = float;

inline constexpr std::int64_t kLanes = 1;

static inline Float zero() { return 0.0F; }
static inline Float broadcast(float value) { return value; }
static inline Float load(const float* p) { return *p; }
static inline void store(float* p, Float v) { *p = v; }
static inline Float add(Float a, Float b) { return a + b; }
static inline Float subtract(Float a, Float b) { return a - b; }
static inline Float multiply(Float a, Float b) { return a * b; }
static inline Float multiply_add(Float a, Float b, Float c) { return a * b + c; }
static inline float sum_lanes(Float v) { return v; }
static inline Float exponential(Float x) { return std::exp(x); }

}  // namespace tessera::kernels::scalar
