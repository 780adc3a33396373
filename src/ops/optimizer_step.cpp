#include "ops/optimizer_step.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/profile.h"
#include "base/thread_pool.h"
#include "kernels/training_table.h"
#include "ops/check.h"
#include "ops/grain.h"

namespace tessera::ops {
namespace {

void expect_like(const Tensor& tensor, const Tensor& parameter, std::string_view name) {
  expect_f32(tensor, name);
  expect_shape(tensor, parameter.shape(), name);
}

}  // namespace

void adamw_step(Tensor& parameter, const Tensor& gradient, Tensor& first_moment, Tensor& second_moment,
                const AdamWStep& step) {
  const ProfileTimer timer("adamw");
  expect_f32(parameter, "adamw: parameter");
  expect_like(gradient, parameter, "adamw: gradient");
  expect_like(first_moment, parameter, "adamw: first moment");
  expect_like(second_moment, parameter, "adamw: second moment");
  const auto steps = static_cast<double>(step.step);
  const kernels::AdamWArguments whole{
      .parameter = parameter.as_mutable<float>().data(),
      .gradient = gradient.as<float>().data(),
      .first_moment = first_moment.as_mutable<float>().data(),
      .second_moment = second_moment.as_mutable<float>().data(),
      .count = parameter.elements(),
      .learning_rate = static_cast<float>(step.learning_rate),
      .beta1 = static_cast<float>(step.beta1),
      .beta2 = static_cast<float>(step.beta2),
      .epsilon = static_cast<float>(step.epsilon),
      .weight_decay = static_cast<float>(step.weight_decay),
      .correction1 = static_cast<float>(1.0 / (1.0 - std::pow(step.beta1, steps))),
      .correction2 = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(step.beta2, steps))),
      .gradient_scale = static_cast<float>(step.gradient_scale)};
  const auto kernel = kernels::active_training().adamw;
  thread_pool().parallel_for(whole.count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    kernels::AdamWArguments part = whole;
    part.parameter += begin;
    part.gradient += begin;
    part.first_moment += begin;
    part.second_moment += begin;
    part.count = end - begin;
    kernel(part);
  });
}

void lion_step(Tensor& parameter, const Tensor& gradient, Tensor& momentum, const LionStep& step) {
  expect_like(gradient, parameter, "lion: gradient");
  expect_like(momentum, parameter, "lion: momentum");
  const auto learning_rate = static_cast<float>(step.learning_rate);
  const auto keep = static_cast<float>(1.0 - step.learning_rate * step.weight_decay);
  const auto scale = static_cast<float>(step.gradient_scale);
  const auto beta1 = static_cast<float>(step.beta1);
  const auto beta2 = static_cast<float>(step.beta2);
  float* p = parameter.as_mutable<float>().data();
  float* m = momentum.as_mutable<float>().data();
  const float* g = gradient.as<float>().data();
  thread_pool().parallel_for(parameter.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float own = g[i] * scale;
      const float direction = beta1 * m[i] + (1.0F - beta1) * own;
      const float sign = direction > 0.0F ? 1.0F : (direction < 0.0F ? -1.0F : 0.0F);
      p[i] = p[i] * keep - learning_rate * sign;
      m[i] = beta2 * m[i] + (1.0F - beta2) * own;
    }
  });
}

void sgd_step(Tensor& parameter, const Tensor& gradient, Tensor& momentum, const SgdStep& step) {
  expect_like(gradient, parameter, "sgd: gradient");
  expect_like(momentum, parameter, "sgd: momentum");
  const auto learning_rate = static_cast<float>(step.learning_rate);
  const auto keep = static_cast<float>(1.0 - step.learning_rate * step.weight_decay);
  const auto scale = static_cast<float>(step.gradient_scale);
  const auto inertia = static_cast<float>(step.momentum);
  float* p = parameter.as_mutable<float>().data();
  float* m = momentum.as_mutable<float>().data();
  const float* g = gradient.as<float>().data();
  thread_pool().parallel_for(parameter.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      m[i] = inertia * m[i] + g[i] * scale;
      p[i] = p[i] * keep - learning_rate * m[i];
    }
  });
}

void average_step(Tensor& average, const Tensor& values, double share) {
  expect_f32(average, "average");
  expect_like(values, average, "average: values");
  const auto part = static_cast<float>(share);
  float* mean = average.as_mutable<float>().data();
  const float* x = values.as<float>().data();
  thread_pool().parallel_for(average.elements(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) mean[i] += part * (x[i] - mean[i]);
  });
}

double sum_of_squares(const Tensor& x) {
  expect_f32(x, "sum_of_squares");
  constexpr std::int64_t kChunk = 16 * 1024;
  const std::int64_t chunks = (x.elements() + kChunk - 1) / kChunk;
  std::vector<double> sums(static_cast<std::size_t>(chunks));
  const float* values = x.as<float>().data();
  const auto kernel = kernels::active_training().sum_of_squares;
  thread_pool().parallel_for(chunks, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t chunk = begin; chunk < end; ++chunk) {
      const std::int64_t first = chunk * kChunk;
      sums[static_cast<std::size_t>(chunk)] = kernel(values + first, std::min(kChunk, x.elements() - first));
    }
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace tessera::ops
