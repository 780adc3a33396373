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

std::vector<ParameterSlice> whole_parameters(std::span<const models::Parameter> parameters) {
  std::vector<ParameterSlice> slices;
  for (std::size_t index = 0; index < parameters.size(); ++index) {
    slices.push_back({parameters[index], index, parameters[index].tensor.shape(), 0});
  }
  return slices;
}

Optimizer::Optimizer(std::vector<ParameterSlice> slices, const OptimizerOptions& options)
    : slices_(std::move(slices)), options_(options) {
  for (std::size_t slice = 0; slice < slices_.size(); ++slice) {
    const models::Parameter& part = slices_[slice].part;
    for (const std::string& moment : moment_names()) {
      state_.push_back({fmt::format("{}.{}", moment, part.name), Tensor::zeros(part.tensor.shape()), slice});
    }
  }
}

std::vector<std::string> Optimizer::moment_names() const {
  if (options_.kind == OptimizerKind::adamw) return {"first_moment", "second_moment"};
  return {"momentum"};
}

double Optimizer::step(autograd::Tape& tape, double learning_rate,
                       const std::function<double(double)>& sum_over_ranks) {
  double squares = 0;
  for (const ParameterSlice& slice : slices_) {
    squares += ops::sum_of_squares(tape.gradient(slice.part.tensor));
  }
  if (sum_over_ranks) squares = sum_over_ranks(squares);
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm)) return norm;
  // As PyTorch's clip_grad_norm_ has it.
  const double clip = options_.max_gradient_norm / (norm + 1e-6);
  const double scale = options_.max_gradient_norm > 0 && clip < 1.0 ? clip : 1.0;
  ++steps_;
  for (std::size_t index = 0; index < slices_.size(); ++index) {
    update(index, tape.gradient(slices_[index].part.tensor), learning_rate, scale);
  }
  return norm;
}

void Optimizer::update(std::size_t index, const Tensor& gradient, double learning_rate, double scale) {
  Tensor values = slices_[index].part.tensor;
  Tensor& moment = state_[index * moments()].tensor;
  const double decay = slices_[index].whole.rank() >= 2 ? options_.weight_decay : 0.0;
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
