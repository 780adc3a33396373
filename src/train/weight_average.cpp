#include "train/weight_average.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "models/weight_loader.h"
#include "ops/optimizer_step.h"

namespace tessera::train {

WeightAverage::WeightAverage(std::span<const models::Parameter> parameters, double decay)
    : parameters_(parameters.begin(), parameters.end()), averages_(parameters_), decay_(decay) {
  for (models::Parameter& average : averages_) average.tensor = Tensor::zeros(average.tensor.shape());
}

void WeightAverage::update() {
  ++updates_;
  const double share = (1.0 - decay_) / (1.0 - std::pow(decay_, static_cast<double>(updates_)));
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    ops::average_step(averages_[i].tensor, parameters_[i].tensor, share);
  }
}

void WeightAverage::restore(const WeightSource& source, std::int64_t updates) {
  for (models::Parameter& average : averages_) {
    const TensorInfo* info = source.find(average.name);
    if (info == nullptr || info->dtype != DType::f32) {
      fail(ErrorKind::bad_input, "{}: tensor '{}': expected float32 averages, found none", source.origin(),
           average.name);
    }
    const Tensor stored = source.load(average.name);
    const Tensor values = average.stored_transposed ? models::transposed(stored) : stored;
    if (!(values.shape() == average.tensor.shape())) {
      fail(ErrorKind::bad_input, "{}: tensor '{}': expected {}, found {}: is it of another model?",
           source.origin(), average.name, average.tensor.shape().to_string(), values.shape().to_string());
    }
    std::memcpy(average.tensor.mutable_raw(), values.raw(), values.bytes());
  }
  updates_ = updates;
}

void WeightAverage::swap() {
  for (std::size_t i = 0; i < averages_.size(); ++i) {
    std::ranges::swap_ranges(averages_[i].tensor.as_mutable<float>(),
                             parameters_[i].tensor.as_mutable<float>());
  }
}

}  // namespace tessera::train
