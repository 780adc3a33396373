#include "nn/norm.h"

#include <utility>

#include "ops/normalization.h"

namespace tessera::nn {

RmsNorm::RmsNorm(Tensor weight, float epsilon, bool add_one)
    : weight_(std::move(weight)), epsilon_(epsilon), add_one_(add_one) {}

Tensor RmsNorm::operator()(const Tensor& x) const { return ops::rms_norm(x, weight_, epsilon_, add_one_); }

LayerNorm::LayerNorm(Tensor weight, Tensor bias, float epsilon)
    : weight_(std::move(weight)), bias_(std::move(bias)), epsilon_(epsilon) {}

Tensor LayerNorm::operator()(const Tensor& x) const { return ops::layer_norm(x, weight_, bias_, epsilon_); }

}  // namespace tessera::nn
