// Optimizers: what becomes of the parameters when a step's gradients are there.
#pragma once
#include <cstdint>
#include <functional>
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

// What one optimizer changes of a parameter: all of it, or the run of its elements that belongs to this rank.
struct ParameterSlice {
  models::Parameter part;  // its tensor is the parameter's, or a window of it, [count]
  std::size_t index = 0;   // of the parameter in the model's list
  Shape whole;             // of the parameter
  std::int64_t first = 0;  // the element of the parameter at which the part begins
};
std::vector<ParameterSlice> whole_parameters(std::span<const models::Parameter> parameters);

// A tensor of the optimizer's memory as a checkpoint keeps it: "first_moment.model.norm.weight".
struct OptimizerTensor {
  std::string name;
  Tensor tensor;          // as large as the slice that it belongs to
  std::size_t slice = 0;  // in slices()
};

class Optimizer {
 public:
  Optimizer(std::vector<ParameterSlice> slices, const OptimizerOptions& options);

  // Changes every slice by its gradient on `tape`; returns the gradients' norm before clipping. When that is
  // not finite, nothing is changed. `sum_over_ranks`, when there is one, turns the squares of the own slices
  // into those of all.
  double step(autograd::Tape& tape, double learning_rate,
              const std::function<double(double)>& sum_over_ranks = {});

  std::int64_t steps_taken() const { return steps_; }
  std::span<const ParameterSlice> slices() const { return slices_; }
  std::span<const OptimizerTensor> state() const { return state_; }
  // What comes before a parameter's name in the names of state(), in their order.
  std::vector<std::string> moment_names() const;
  // After the tensors of state() were filled from a checkpoint.
  void set_steps_taken(std::int64_t steps) { steps_ = steps; }

 private:
  void update(std::size_t index, const Tensor& gradient, double learning_rate, double scale);
  std::size_t moments() const { return options_.kind == OptimizerKind::adamw ? 2 : 1; }

  std::vector<ParameterSlice> slices_;
  OptimizerOptions options_;
  std::vector<OptimizerTensor> state_;  // moments() of each slice, one after another
  std::int64_t steps_ = 0;
};

}  // namespace tessera::train
