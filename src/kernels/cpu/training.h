// Gradients of activations and norms, the loss, and the optimizer's update for one ISA. Included by its
// translation units after the vector header.
#pragma once
#include "kernels/cpu/math.h"
#include "kernels/cpu/normal_distribution.h"
#include "kernels/cpu/rows.h"
#include "kernels/training_table.h"

namespace tessera::kernels::TESSERA_ISA {

// An activation's value and derivative at x: see kernels/ref/training.h for the equations.
struct ValueAndSlope {
  Float value;
  Float slope;
};

TESSERA_INLINE Float sigmoid(Float x) {
  return divide(broadcast(1.0F), add(broadcast(1.0F), exponential(subtract(zero(), x))));
}

struct SiluGradient {
  TESSERA_INLINE static ValueAndSlope at(Float x) {
    const Float s = sigmoid(x);
    const Float rest = subtract(broadcast(1.0F), s);
    return {multiply(x, s), multiply(s, multiply_add(x, rest, broadcast(1.0F)))};
  }
};

struct GeluGradient {
  TESSERA_INLINE static ValueAndSlope at(Float x) {
    const NormalDistribution normal = normal_distribution(x);
    return {multiply(x, normal.cumulative), multiply_add(x, normal.density, normal.cumulative)};
  }
};

struct GeluTanhGradient {
  TESSERA_INLINE static ValueAndSlope at(Float x) {
    const Float square = multiply(x, x);
    const Float inner = multiply_add(multiply(broadcast(0.044715F), square), x, x);
    const Float s = sigmoid(multiply(broadcast(1.59576912F), inner));  // 2 sqrt(2 / pi)
    const Float slope = multiply_add(broadcast(0.214064449F), square, broadcast(1.59576912F));  // 2 u'
    const Float bend = multiply(multiply(x, s), subtract(broadcast(1.0F), s));
    return {multiply(x, s), multiply_add(bend, slope, s)};
  }
};

struct ReluGradient {
  TESSERA_INLINE static ValueAndSlope at(Float x) {
    return {maximum(zero(), x), select_less(zero(), x, broadcast(1.0F), zero())};
  }
};

template <typename Function>
void activation_gradient(const float* x, const float* dy, float* dx, std::int64_t count, bool accumulate) {
  const auto slope = [](Float v) { return Function::at(v).slope; };
  if (accumulate) {
    for_each_vector(
        count,
        [&](std::int64_t i) { store(dx + i, multiply_add(load(dy + i), slope(load(x + i)), load(dx + i))); },
        [&](std::int64_t i, std::int64_t rest) {
          const Float own = slope(load_first(x + i, rest));
          store_first(dx + i, multiply_add(load_first(dy + i, rest), own, load_first(dx + i, rest)), rest);
        });
    return;
  }
  for_each_vector(
      count, [&](std::int64_t i) { store(dx + i, multiply(load(dy + i), slope(load(x + i)))); },
      [&](std::int64_t i, std::int64_t rest) {
        store_first(dx + i, multiply(load_first(dy + i, rest), slope(load_first(x + i, rest))), rest);
      });
}

template <typename Function>
void gated_activation_gradient(const float* gate, const float* up, const float* dy, float* dgate, float* dup,
                               std::int64_t count) {
  for_each_vector(
      count,
      [&](std::int64_t i) {
        const ValueAndSlope f = Function::at(load(gate + i));
        const Float d = load(dy + i);
        store(dgate + i, multiply(multiply(d, load(up + i)), f.slope));
        store(dup + i, multiply(d, f.value));
      },
      [&](std::int64_t i, std::int64_t rest) {
        const ValueAndSlope f = Function::at(load_first(gate + i, rest));
        const Float d = load_first(dy + i, rest);
        store_first(dgate + i, multiply(multiply(d, load_first(up + i, rest)), f.slope), rest);
        store_first(dup + i, multiply(d, f.value), rest);
      });
}

static void rms_norm_gradient(const NormGradientArguments& a) {
  const float length = static_cast<float>(a.count);
  const Float offset = broadcast(a.weight_offset);
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const float* x = a.x + row * a.count;
    const float* dy = a.dy + row * a.count;
    Float squares = zero();
    Float products = zero();
    for_each_part(a.count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
      const Float v = load_part(x + i, rest);
      const Float g = multiply(load_part(dy + i, rest), add(load_part(a.weight + i, rest), offset));
      squares = multiply_add(v, v, squares);
      products = multiply_add(g, v, products);
    });
    const float r = 1.0F / __builtin_sqrtf(sum_lanes(squares) / length + a.epsilon);
    const Float factor = broadcast(r);
    const Float shared = broadcast(r * r * r * (sum_lanes(products) / length));
    for_each_part(a.count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
      const Float v = load_part(x + i, rest);
      const Float d = load_part(dy + i, rest);
      if (a.dweight != nullptr) {
        const Float sum = multiply_add(multiply(d, v), factor, load_part(a.dweight + i, rest));
        store_part(a.dweight + i, sum, rest);
      }
      if (a.dx == nullptr) return;
      float* dx = a.dx + row * a.count + i;
      const Float g = multiply(d, add(load_part(a.weight + i, rest), offset));
      const Float own = subtract_product(v, shared, multiply(factor, g));
      store_part(dx, a.accumulate ? add(load_part(dx, rest), own) : own, rest);
    });
  }
}

static void layer_norm_gradient(const NormGradientArguments& a) {
  const float length = static_cast<float>(a.count);
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const float* x = a.x + row * a.count;
    const float* dy = a.dy + row * a.count;
    const Float mean = broadcast(sum_row(x, a.count, [](Float v) { return v; }) / length);
    Float squares = zero();
    Float sum_g = zero();
    Float sum_gh = zero();
    for_each_part(a.count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
      const Float centred = keep_first(subtract(load_part(x + i, rest), mean), rest, 0.0F);
      const Float g = multiply(load_part(dy + i, rest), load_part(a.weight + i, rest));
      squares = multiply_add(centred, centred, squares);
      sum_g = add(sum_g, g);
      sum_gh = multiply_add(g, centred, sum_gh);
    });
    const float r = 1.0F / __builtin_sqrtf(sum_lanes(squares) / length + a.epsilon);
    const Float factor = broadcast(r);
    const Float mean_g = broadcast(sum_lanes(sum_g) / length);
    const Float mean_gh = broadcast(sum_lanes(sum_gh) * r / length);
    for_each_part(a.count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
      const Float h = multiply(subtract(load_part(x + i, rest), mean), factor);
      const Float d = load_part(dy + i, rest);
      if (a.dweight != nullptr) {
        store_part(a.dweight + i, multiply_add(d, h, load_part(a.dweight + i, rest)), rest);
      }
      if (a.dbias != nullptr) store_part(a.dbias + i, add(load_part(a.dbias + i, rest), d), rest);
      if (a.dx == nullptr) return;
      float* dx = a.dx + row * a.count + i;
      const Float g = multiply(d, load_part(a.weight + i, rest));
      const Float own = multiply(factor, subtract_product(h, mean_gh, subtract(g, mean_g)));
      store_part(dx, a.accumulate ? add(load_part(dx, rest), own) : own, rest);
    });
  }
}

static void softcap_gradient(const float* y, float* dy, float cap, std::int64_t count) {
  const Float inverse = broadcast(1.0F / cap);
  for_each_part(count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
    const Float t = multiply(load_part(y + i, rest), inverse);
    const Float slope = subtract_product(t, t, broadcast(1.0F));
    store_part(dy + i, multiply(load_part(dy + i, rest), slope), rest);
  });
}

static float cross_entropy(float* row, std::int64_t count, std::int64_t target, float smoothing, float cap,
                           float gradient_scale) {
  const float lowest = -__builtin_inff();
  Float tops = broadcast(lowest);
  Float sums = zero();
  for_each_part(count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
    const Float v = load_part(row + i, rest);
    tops = maximum(tops, keep_first(v, rest, lowest));
    sums = add(sums, v);
  });
  const float top = maximum_lane(tops);
  const Float shift = broadcast(top);
  Float exponentials = zero();
  for_each_part(count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
    const Float e = exponential(subtract(load_part(row + i, rest), shift));
    exponentials = add(exponentials, keep_first(e, rest, 0.0F));
  });
  const float total = sum_lanes(exponentials);
  const float log_sum = top + __builtin_logf(total);
  const float even = 1.0F / static_cast<float>(count);
  const float loss =
      (1.0F - smoothing) * (log_sum - row[target]) + smoothing * (log_sum - sum_lanes(sums) * even);
  if (gradient_scale == 0.0F) return loss;
  const float target_logit = row[target];
  const Float inverse = broadcast(1.0F / total);
  const Float shared = broadcast(smoothing * even);
  const Float scale_by = broadcast(gradient_scale);
  const Float per_cap = broadcast(cap > 0.0F ? 1.0F / cap : 0.0F);
  for_each_part(count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
    const Float v = load_part(row + i, rest);
    const Float p = multiply(exponential(subtract(v, shift)), inverse);
    const Float t = multiply(v, per_cap);
    const Float slope = multiply(subtract_product(t, t, broadcast(1.0F)), scale_by);
    store_part(row + i, multiply(subtract(p, shared), slope), rest);
  });
  const float probability = __builtin_expf(target_logit - top) / total;
  const float t = cap > 0.0F ? target_logit / cap : 0.0F;
  row[target] = (probability - smoothing * even - (1.0F - smoothing)) * (1.0F - t * t) * gradient_scale;
  return loss;
}

static void adamw(const AdamWArguments& a) {
  const Float beta1 = broadcast(a.beta1);
  const Float beta2 = broadcast(a.beta2);
  const Float rest1 = broadcast(1.0F - a.beta1);
  const Float rest2 = broadcast(1.0F - a.beta2);
  const Float keep = broadcast(1.0F - a.learning_rate * a.weight_decay);
  const Float step = broadcast(a.learning_rate * a.correction1);
  const Float correction = broadcast(a.correction2);
  const Float epsilon = broadcast(a.epsilon);
  const Float gradient_scale = broadcast(a.gradient_scale);
  for_each_part(a.count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
    const Float g = multiply(load_part(a.gradient + i, rest), gradient_scale);
    const Float m = multiply_add(beta1, load_part(a.first_moment + i, rest), multiply(rest1, g));
    const Float v =
        multiply_add(beta2, load_part(a.second_moment + i, rest), multiply(rest2, multiply(g, g)));
    const Float scale_of = multiply_add(square_root(v), correction, epsilon);
    const Float moved = multiply(load_part(a.parameter + i, rest), keep);
    store_part(a.parameter + i, subtract_product(step, divide(m, scale_of), moved), rest);
    store_part(a.first_moment + i, m, rest);
    store_part(a.second_moment + i, v, rest);
  });
}

// 256 squares are added in float32, then the sum goes on in double.
static double sum_of_squares(const float* x, std::int64_t count) {
  constexpr std::int64_t kRun = 256;
  double total = 0;
  for (std::int64_t begin = 0; begin < count; begin += kRun) {
    const std::int64_t length = count - begin < kRun ? count - begin : kRun;
    total += double{sum_row(x + begin, length, [](Float v) { return multiply(v, v); })};
  }
  return total;
}

static void add_to(float* total, const float* row, std::int64_t count) {
  for_each_part(count, [&](std::int64_t i, std::int64_t rest) TESSERA_LAMBDA {
    store_part(total + i, add(load_part(total + i, rest), load_part(row + i, rest)), rest);
  });
}

}  // namespace tessera::kernels::TESSERA_ISA
