// The exponential moving average of the weights (Polyak & Juditsky 1992; Kingma & Ba 2014, section 7.2),
// which is often better than the last weights and always calmer.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/model.h"
#include "tensor/weight_source.h"

namespace tessera::train {

// After n updates: the mean of the weights that each update saw, weighted by decay^age. There is no trace of
// the weights before the first update: a step's share is (1 - decay) / (1 - decay^n).
class WeightAverage {
 public:
  // `parameters` are the model's own and must stay.
  WeightAverage(std::span<const models::Parameter> parameters, double decay);

  void update();
  std::int64_t updates() const { return updates_; }
  // The parameters' names and layout, with the averages as values.
  std::span<const models::Parameter> averages() const { return averages_; }

  // Fills the averages from what a checkpoint kept of them. Error bad_input naming a tensor that is missing
  // or has another shape.
  void restore(const WeightSource& source, std::int64_t updates);

 private:
  friend class AveragedWeightsScope;
  void swap();

  std::vector<models::Parameter> parameters_;
  std::vector<models::Parameter> averages_;
  double decay_;
  std::int64_t updates_ = 0;
};

// While one lives, the model has the averages as its weights; afterwards its own again, to the bit.
class AveragedWeightsScope {
 public:
  explicit AveragedWeightsScope(WeightAverage& average) : average_(&average) { average.swap(); }
  ~AveragedWeightsScope() { average_->swap(); }
  AveragedWeightsScope(const AveragedWeightsScope&) = delete;
  AveragedWeightsScope& operator=(const AveragedWeightsScope&) = delete;

 private:
  WeightAverage* average_;
};

}  // namespace tessera::train
