// Walking along a row vector by vector, the last one partial. Included by the translation units of one ISA
// after its vector header.
#pragma once
#include "kernels/cpu/unroll.h"

namespace tessera::kernels::TESSERA_ISA {

// Calls step(i, load, store) for every vector of [0, count), the last one partial.
template <typename Whole, typename Partial>
TESSERA_INLINE void for_each_vector(std::int64_t count, Whole whole, Partial partial) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) whole(i);
  if (i < count) partial(i, count - i);
}

// The same for loops whose whole and partial vectors differ in nothing else: step(i, rest), rest == kLanes
// for a whole vector, and loads and stores that go by it.
template <typename Step>
TESSERA_INLINE void for_each_part(std::int64_t count, Step step) {
  for_each_vector(
      count, [&](std::int64_t i) TESSERA_LAMBDA { step(i, kLanes); },
      [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA { step(i, rest); });
}
TESSERA_INLINE Float load_part(const float* p, std::int64_t rest) {
  return rest == kLanes ? load(p) : load_first(p, rest);
}
TESSERA_INLINE void store_part(float* p, Float v, std::int64_t rest) {
  if (rest == kLanes) {
    store(p, v);
  } else {
    store_first(p, v, rest);
  }
}

// Sum of term(vector) over a row; `term` must map zero lanes of a partial vector to what they should add.
template <typename Term>
TESSERA_INLINE float sum_row(const float* x, std::int64_t count, Term term) {
  Float sums = zero();
  for_each_vector(
      count, [&](std::int64_t i) { sums = add(sums, term(load(x + i))); },
      [&](std::int64_t i, std::int64_t rest) {
        sums = add(sums, keep_first(term(load_first(x + i, rest)), rest, 0.0F));
      });
  return sum_lanes(sums);
}

}  // namespace tessera::kernels::TESSERA_ISA
