// Norms, activations, rotary embedding, softmax and sums of one ISA. Partial vectors go through the same
// arithmetic as whole ones, so an element's value does not depend on where a range begins or ends.
#pragma once
#include "kernels/cpu/math.h"
#include "kernels/cpu/rows.h"

namespace tessera::kernels::TESSERA_ISA {

template <typename Function>
void activate(const float* x, float* y, std::int64_t count) {
  for_each_vector(
      count, [&](std::int64_t i) { store(y + i, Function::apply(load(x + i))); },
      [&](std::int64_t i, std::int64_t rest) {
        store_first(y + i, Function::apply(load_first(x + i, rest)), rest);
      });
}

template <typename Function>
void gated(const float* gate, const float* up, float* y, std::int64_t count) {
  for_each_vector(
      count, [&](std::int64_t i) { store(y + i, multiply(Function::apply(load(gate + i)), load(up + i))); },
      [&](std::int64_t i, std::int64_t rest) {
        store_first(y + i, multiply(Function::apply(load_first(gate + i, rest)), load_first(up + i, rest)),
                    rest);
      });
}

static void add_rows(const float* a, const float* b, float* y, std::int64_t count) {
  for_each_vector(
      count, [&](std::int64_t i) { store(y + i, add(load(a + i), load(b + i))); },
      [&](std::int64_t i, std::int64_t rest) {
        store_first(y + i, add(load_first(a + i, rest), load_first(b + i, rest)), rest);
      });
}

static void scale(float* x, float factor, std::int64_t count) {
  const Float f = broadcast(factor);
  for_each_vector(
      count, [&](std::int64_t i) { store(x + i, multiply(load(x + i), f)); },
      [&](std::int64_t i, std::int64_t rest) {
        store_first(x + i, multiply(load_first(x + i, rest), f), rest);
      });
}

static void softcap(float* x, float cap, std::int64_t count) {
  const Float c = broadcast(cap);
  const auto capped = [&](Float v) { return multiply(c, hyperbolic_tangent(divide(v, c))); };
  for_each_vector(
      count, [&](std::int64_t i) { store(x + i, capped(load(x + i))); },
      [&](std::int64_t i, std::int64_t rest) { store_first(x + i, capped(load_first(x + i, rest)), rest); });
}

static void softmax(float* x, std::int64_t count) {
  const float lowest = -__builtin_inff();
  Float top = broadcast(lowest);
  for_each_vector(
      count, [&](std::int64_t i) { top = maximum(top, load(x + i)); },
      [&](std::int64_t i, std::int64_t rest) {
        top = maximum(top, keep_first(load_first(x + i, rest), rest, lowest));
      });
  const Float maxima = broadcast(maximum_lane(top));
  Float sums = zero();
  for_each_vector(
      count,
      [&](std::int64_t i) {
        const Float e = exponential(subtract(load(x + i), maxima));
        store(x + i, e);
        sums = add(sums, e);
      },
      [&](std::int64_t i, std::int64_t rest) {
        const Float e = keep_first(exponential(subtract(load_first(x + i, rest), maxima)), rest, 0.0F);
        store_first(x + i, e, rest);
        sums = add(sums, e);
      });
  const Float total = broadcast(sum_lanes(sums));
  for_each_vector(
      count, [&](std::int64_t i) { store(x + i, divide(load(x + i), total)); },
      [&](std::int64_t i, std::int64_t rest) {
        store_first(x + i, divide(load_first(x + i, rest), total), rest);
      });
}

static void rms_norm(const float* x, const float* weight, float* y, std::int64_t count, float epsilon,
                     float weight_offset) {
  const float squares = sum_row(x, count, [](Float v) { return multiply(v, v); });
  const Float factor = broadcast(1.0F / __builtin_sqrtf(squares / static_cast<float>(count) + epsilon));
  const Float offset = broadcast(weight_offset);
  const auto scaled = [&](Float v, Float w) { return multiply(multiply(v, factor), add(w, offset)); };
  for_each_vector(
      count, [&](std::int64_t i) { store(y + i, scaled(load(x + i), load(weight + i))); },
      [&](std::int64_t i, std::int64_t rest) {
        store_first(y + i, scaled(load_first(x + i, rest), load_first(weight + i, rest)), rest);
      });
}

static void layer_norm(const float* x, const float* weight, const float* bias, float* y, std::int64_t count,
                       float epsilon) {
  const float length = static_cast<float>(count);
  const Float mean = broadcast(sum_row(x, count, [](Float v) { return v; }) / length);
  const float squares = sum_row(x, count, [&](Float v) {
    const Float centred = subtract(v, mean);
    return multiply(centred, centred);
  });
  const Float factor = broadcast(1.0F / __builtin_sqrtf(squares / length + epsilon));
  const auto scaled = [&](Float v, Float w, Float b) {
    return multiply_add(multiply(subtract(v, mean), factor), w, b);
  };
  for_each_vector(
      count,
      [&](std::int64_t i) {
        store(y + i, scaled(load(x + i), load(weight + i), bias != nullptr ? load(bias + i) : zero()));
      },
      [&](std::int64_t i, std::int64_t rest) {
        const Float shift = bias != nullptr ? load_first(bias + i, rest) : zero();
        store_first(y + i, scaled(load_first(x + i, rest), load_first(weight + i, rest), shift), rest);
      });
}

// (a c - b s, b c + a s)
TESSERA_INLINE void rotate(Float& a, Float& b, Float c, Float s) {
  const Float turned = subtract_product(b, s, multiply(a, c));
  b = multiply_add(a, s, multiply(b, c));
  a = turned;
}

static void rotary_half(float* x, const float* cosines, const float* sines, std::int64_t pairs) {
  for_each_vector(
      pairs,
      [&](std::int64_t i) {
        Float a = load(x + i);
        Float b = load(x + pairs + i);
        rotate(a, b, load(cosines + i), load(sines + i));
        store(x + i, a);
        store(x + pairs + i, b);
      },
      [&](std::int64_t i, std::int64_t rest) {
        Float a = load_first(x + i, rest);
        Float b = load_first(x + pairs + i, rest);
        rotate(a, b, load_first(cosines + i, rest), load_first(sines + i, rest));
        store_first(x + i, a, rest);
        store_first(x + pairs + i, b, rest);
      });
}

static void rotary_interleaved(float* x, const float* cosines, const float* sines, std::int64_t pairs) {
  const auto turn = [&](float* p, Float c, Float s) {
    Float a;
    Float b;
    split_pairs(p, a, b);
    rotate(a, b, c, s);
    store_pairs(p, a, b);
  };
  for_each_vector(
      pairs, [&](std::int64_t i) { turn(x + 2 * i, load(cosines + i), load(sines + i)); },
      [&](std::int64_t i, std::int64_t rest) {
        float buffer[2 * kLanes] = {};
        __builtin_memcpy(buffer, x + 2 * i, static_cast<std::size_t>(2 * rest) * sizeof(float));
        turn(buffer, load_first(cosines + i, rest), load_first(sines + i, rest));
        __builtin_memcpy(x + 2 * i, buffer, static_cast<std::size_t>(2 * rest) * sizeof(float));
      });
}

// To f16 and bf16, to nearest even; NaN stays NaN.
static void narrow_f16(const float* source, std::byte* target, std::int64_t count) {
  for_each_vector(
      count, [&](std::int64_t i) { store_f16(target + 2 * i, load(source + i)); },
      [&](std::int64_t i, std::int64_t rest) {
        std::byte buffer[2 * kLanes];
        store_f16(buffer, load_first(source + i, rest));
        __builtin_memcpy(target + 2 * i, buffer, static_cast<std::size_t>(2 * rest));
      });
}

TESSERA_INLINE void store_bf16(std::byte* target, Float v) {
  const Int bits = bits_of(v);
  const Int odd = bit_and(shift_right(bits, 16), 1);
  const Int rounded = add_int(bits, add_int(odd, broadcast_int(0x7fff)));
  store_upper_halves(target, select_nan(v, bit_or(bits, broadcast_int(0x400000)), rounded));
}

static void narrow_bf16(const float* source, std::byte* target, std::int64_t count) {
  for_each_vector(
      count, [&](std::int64_t i) { store_bf16(target + 2 * i, load(source + i)); },
      [&](std::int64_t i, std::int64_t rest) {
        std::byte buffer[2 * kLanes];
        store_bf16(buffer, load_first(source + i, rest));
        __builtin_memcpy(target + 2 * i, buffer, static_cast<std::size_t>(2 * rest));
      });
}

}  // namespace tessera::kernels::TESSERA_ISA
