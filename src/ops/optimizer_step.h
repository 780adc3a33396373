// What an optimizer does to one parameter, in one pass over its memory.
#pragma once
#include <cstdint>

#include "tensor/tensor.h"

namespace tessera::ops {

// Decoupled weight decay (Loshchilov & Hutter 2019), bias-corrected, as PyTorch's AdamW.
struct AdamWStep {
  double learning_rate = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  double gradient_scale = 1.0;  // gradients are multiplied by it first (clipping)
  std::int64_t step = 1;        // from 1
};
// parameter, gradient and the moments: f32 of one shape.
void adamw_step(Tensor& parameter, const Tensor& gradient, Tensor& first_moment, Tensor& second_moment,
                const AdamWStep& step);

// Lion (Chen et al. 2023, algorithm 2): p = p (1 - lr decay) - lr sign(beta1 m + (1 - beta1) g), then
// m = beta2 m + (1 - beta2) g.
struct LionStep {
  double learning_rate = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double weight_decay = 0.0;
  double gradient_scale = 1.0;
};
void lion_step(Tensor& parameter, const Tensor& gradient, Tensor& momentum, const LionStep& step);

// Stochastic gradient descent with momentum as PyTorch has it: m = momentum m + g, p = p (1 - lr decay) - lr
// m.
struct SgdStep {
  double learning_rate = 0.0;
  double momentum = 0.9;
  double weight_decay = 0.0;
  double gradient_scale = 1.0;
};
void sgd_step(Tensor& parameter, const Tensor& gradient, Tensor& momentum, const SgdStep& step);

// One step of a running mean: average += share (values - average); both f32 of one shape.
void average_step(Tensor& average, const Tensor& values, double share);

// Sum of the squares of x [any shape] f32, in an order that does not depend on threads.
double sum_of_squares(const Tensor& x);

}  // namespace tessera::ops
