// Linear layers under a tape: forward and backward as matrix products.
#include <utility>
#include <vector>

#include "base/profile.h"
#include "ops/backward.h"
#include "ops/check.h"
#include "ops/linear.h"
#include "ops/matrix_product.h"

namespace tessera::ops {
namespace {

// What the backward needs of one projection.
struct Recorded {
  WeightMatrix weight;
  Tensor bias;
  Tensor y;
};

bool is_plain(const WeightMatrix& weight) { return !weight.is_packed() && weight.dtype() == DType::f32; }

Tensor forward(const Tensor& x, const Projection& projection) {
  const WeightMatrix& weight = *projection.weight;
  if (!is_plain(weight)) {
    const autograd::NoGradientScope forward_only;
    return linear(x, weight, projection.bias != nullptr ? *projection.bias : Tensor{});
  }
  expect_dim(x, 1, weight.columns(), "linear: x");
  Tensor y = Tensor::empty({x.dim(0), weight.rows()});
  const bool biased = projection.bias != nullptr && projection.bias->defined();
  if (biased) {  // the chain of an element's sum begins with its bias
    expect_shape(*projection.bias, Shape{weight.rows()}, "linear: bias");
    const auto bias = projection.bias->as<float>();
    const auto values = y.as_mutable<float>();
    for (std::size_t at = 0; at < values.size(); at += bias.size()) {
      std::copy(bias.begin(), bias.end(), values.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  matrix_product(view(x), view(weight.stored()).transposed(), y.as_mutable<float>().data(), weight.rows(),
                 biased);
  return y;
}

void backward(autograd::Tape& tape, const Tensor& x, const Recorded& layer) {
  const ProfileTimer timer("linear backward");
  if (!tape.has_gradient(layer.y)) return;
  const Tensor dy = tape.gradient(layer.y);
  if (tape.tracks(x)) {
    autograd::GradientWindow dx = tape.gradient_to_write(x);
    matrix_product(view(dy), view(widened(layer.weight)), dx.values.as_mutable<float>().data(), x.dim(1),
                   dx.accumulate);
  }
  if (is_plain(layer.weight) && tape.tracks(layer.weight.stored())) {
    autograd::GradientWindow dw = tape.gradient_to_write(layer.weight.stored());
    matrix_product(view(dy).transposed(), view(x), dw.values.as_mutable<float>().data(), x.dim(1),
                   dw.accumulate);
  }
  if (tape.tracks(layer.bias)) {
    Tensor db = tape.gradient(layer.bias);
    add_row_sums(view(dy), db.as_mutable<float>().data());
  }
}

}  // namespace

std::vector<Tensor> recorded_linear(autograd::Tape& tape, const Tensor& x,
                                    std::span<const Projection> projections) {
  std::vector<Recorded> layers;
  std::vector<Tensor> outputs;
  for (const Projection& projection : projections) {
    const Tensor bias = projection.bias != nullptr ? *projection.bias : Tensor{};
    layers.push_back({*projection.weight, bias, forward(x, projection)});
    outputs.push_back(layers.back().y);
  }
  tape.record(outputs, {x}, [x, layers](autograd::Tape& t) {
    for (const Recorded& layer : layers) backward(t, x, layer);
  });
  return outputs;
}

autograd::Tape* tape_for_weight(const WeightMatrix& weight, std::initializer_list<const Tensor*> inputs) {
  if (autograd::Tape* tape = autograd::tape_for(inputs)) return tape;
  return weight.defined() && !weight.is_packed() ? autograd::tape_for({&weight.stored()}) : nullptr;
}

}  // namespace tessera::ops
