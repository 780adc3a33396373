#include "train/optimizer.h"

#include <cmath>

#include "base/error.h"
#include "ops/optimizer_step.h"

namespace tessera::train {

OptimizerKind optimizer_from_name(std::string_view name) {
  if (name == "adamw") return OptimizerKind::adamw;
  if (name == "lion") return OptimizerKind::lion;
  if (name == "sgd") return OptimizerKind::sgd;
  fail(ErrorKind::bad_usage, "optimizer: expected adamw, lion or sgd, found '{}'", printable(name));
}

Optimizer::Optimizer(std::span<const models::Parameter> parameters, const OptimizerOptions& options)
    : parameters_(parameters.begin(), parameters.end()), options_(options) {
  for (const models::Parameter& parameter : parameters_) {
    const auto add = [&](const char* what) {
      state_.push_back({fmt::format("{}.{}", what, parameter.name), Tensor::zeros(parameter.tensor.shape())});
    };
    add(options_.kind == OptimizerKind::adamw ? "first_moment" : "momentum");
    if (moments() == 2) add("second_moment");
  }
}

double Optimizer::step(autograd::Tape& tape, double learning_rate) {
  double squares = 0;
  for (const models::Parameter& parameter : parameters_) {
    squares += ops::sum_of_squares(tape.gradient(parameter.tensor));
  }
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm)) return norm;
  // As PyTorch's clip_grad_norm_ has it.
  const double clip = options_.max_gradient_norm / (norm + 1e-6);
  const double scale = options_.max_gradient_norm > 0 && clip < 1.0 ? clip : 1.0;
  ++steps_;
  for (std::size_t index = 0; index < parameters_.size(); ++index) {
    const models::Parameter& parameter = parameters_[index];
    update(parameter, index, tape.gradient(parameter.tensor), learning_rate, scale);
  }
  return norm;
}

void Optimizer::update(const models::Parameter& parameter, std::size_t index, const Tensor& gradient,
                       double learning_rate, double scale) {
  Tensor values = parameter.tensor;
  Tensor& moment = state_[index * moments()].tensor;
  const double decay = values.rank() >= 2 ? options_.weight_decay : 0.0;
  switch (options_.kind) {
    case OptimizerKind::adamw:
      ops::adamw_step(values, gradient, moment, state_[index * 2 + 1].tensor,
                      {.learning_rate = learning_rate,
                       .beta1 = options_.beta1,
                       .beta2 = options_.beta2,
                       .epsilon = options_.epsilon,
                       .weight_decay = decay,
                       .gradient_scale = scale,
                       .step = steps_});
      return;
    case OptimizerKind::lion:
      ops::lion_step(values, gradient, moment,
                     {.learning_rate = learning_rate,
                      .beta1 = options_.beta1,
                      .beta2 = options_.beta2,
                      .weight_decay = decay,
                      .gradient_scale = scale});
      return;
    case OptimizerKind::sgd:
      ops::sgd_step(values, gradient, moment,
                    {.learning_rate = learning_rate,
                     .momentum = options_.beta1,
                     .weight_decay = decay,
                     .gradient_scale = scale});
      return;
  }
}

}  // namespace tessera::train
