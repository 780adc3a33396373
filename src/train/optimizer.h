// Optimizers: what becomes of the parameters when a step's gradients are there.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/tape.h"
#include "models/model.h"

namespace tessera::train {

enum class OptimizerKind { adamw, lion, sgd };
// Error bad_usage naming all of them.
OptimizerKind optimizer_from_name(std::string_view name);

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::adamw;
  double beta1 = 0.9;  // sgd: the momentum
  double beta2 = 0.99;
  double epsilon = 1e-8;
  double weight_decay = 0.1;       // of matrices alone
  double max_gradient_norm = 1.0;  // longer gradients are scaled down to it; 0: never
};

// A tensor of the optimizer's memory as a checkpoint keeps it: "first_moment.model.norm.weight".
struct OptimizerTensor {
  std::string name;
  Tensor tensor;
};

class Optimizer {
 public:
  Optimizer(std::span<const models::Parameter> parameters, const OptimizerOptions& options);

  // Changes every parameter by its gradient on `tape`; returns the gradients' norm before clipping. When that
  // is not finite, nothing is changed.
  double step(autograd::Tape& tape, double learning_rate);

  std::int64_t steps_taken() const { return steps_; }
  std::span<const OptimizerTensor> state() const { return state_; }
  // After the tensors of state() were filled from a checkpoint.
  void set_steps_taken(std::int64_t steps) { steps_ = steps; }

 private:
  void update(const models::Parameter& parameter, std::size_t index, const Tensor& gradient,
              double learning_rate, double scale);
  std::size_t moments() const { return options_.kind == OptimizerKind::adamw ? 2 : 1; }

  std::vector<models::Parameter> parameters_;
  OptimizerOptions options_;
  std::vector<OptimizerTensor> state_;  // moments() of each parameter, one after another
  std::int64_t steps_ = 0;
};

}  // namespace tessera::train
