// Every backward of kernels/ref against central differences of its forward, both in float64.
//
// With h = 1e-5 the difference quotient of a function with third derivatives of order 1 to 100 is off by h^2
// times a sixth of them, 2e-9 at most, and rounding adds 1e-16 / h = 1e-11 of the sum's size: 1e-7 relative
// is a bound that a wrong term cannot meet.
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <vector>

#include "kernels/ref/normalization.h"
#include "kernels/ref/training.h"

namespace tessera::kernels::testing {
namespace {

using Values = std::vector<double>;
constexpr double kStep = 1e-5;
constexpr double kTolerance = 1e-7;

class GradientCheck : public ::testing::Test {
 protected:
  Values normal(std::size_t count) {
    std::normal_distribution<double> distribution;
    Values values(count);
    for (double& value : values) value = distribution(random_);
    return values;
  }
  // gradient[i] = d loss / d input[i] for every i.
  static void expect_gradient(Values& input, const Values& gradient, const std::function<double()>& loss,
                              const char* what) {
    double largest = 0;
    for (const double g : gradient) largest = std::max(largest, std::abs(g));
    for (std::size_t i = 0; i < input.size(); ++i) {
      const double value = input[i];
      input[i] = value + kStep;
      const double above = loss();
      input[i] = value - kStep;
      const double below = loss();
      input[i] = value;
      EXPECT_NEAR((above - below) / (2 * kStep), gradient[i], kTolerance * (1 + largest))
          << what << ", element " << i;
    }
  }
  static double dot(const Values& a, const Values& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  }

  std::mt19937_64 random_{std::random_device{}()};
};

TEST_F(GradientCheck, Activations) {
  Values x{-6.0, -2.5, -1.0, -0.3, 0.2, 0.9, 1.7, 4.0};
  for (const ActivationKind kind :
       {ActivationKind::silu, ActivationKind::gelu, ActivationKind::gelu_tanh, ActivationKind::relu}) {
    for (double& value : x) {
      const double above = ref::activation<double>(kind, value + kStep);
      const double below = ref::activation<double>(kind, value - kStep);
      EXPECT_NEAR((above - below) / (2 * kStep), ref::activation_derivative(kind, value), kTolerance)
          << "activation " << static_cast<int>(kind) << " at " << value;
    }
  }
}

TEST_F(GradientCheck, RmsNorm) {
  for (const double offset : {0.0, 1.0}) {
    Values x = normal(7);
    Values weight = normal(7);
    const Values dy = normal(7);
    const auto loss = [&] {
      Values y(7);
      ref::rms_norm_row(x.data(), weight.data(), y.data(), 7, 1e-3, offset);
      return dot(y, dy);
    };
    Values dx(7, NAN);
    Values dweight(7, 0.0);
    ref::rms_norm_gradient(x.data(), weight.data(), dy.data(), dx.data(), dweight.data(), 7, 1e-3, offset,
                           false);
    expect_gradient(x, dx, loss, "x");
    expect_gradient(weight, dweight, loss, "weight");
  }
}

TEST_F(GradientCheck, LayerNorm) {
  Values x = normal(9);
  Values weight = normal(9);
  Values bias = normal(9);
  const Values dy = normal(9);
  const auto loss = [&] {
    Values y(9);
    ref::layer_norm_row(x.data(), weight.data(), bias.data(), y.data(), 9, 1e-3);
    return dot(y, dy);
  };
  Values dx(9, 0.25);
  Values dweight(9, 0.0);
  Values dbias(9, 0.0);
  ref::layer_norm_gradient(x.data(), weight.data(), dy.data(), dx.data(), dweight.data(), dbias.data(), 9,
                           1e-3, true);
  for (double& value : dx) value -= 0.25;  // it was to be added to
  expect_gradient(x, dx, loss, "x");
  expect_gradient(weight, dweight, loss, "weight");
  expect_gradient(bias, dbias, loss, "bias");
}

TEST_F(GradientCheck, CrossEntropy) {
  for (const double smoothing : {0.0, 0.1}) {
    for (const double cap : {0.0, 2.0}) {
      Values x = normal(11);
      const auto logits = [&] {
        Values y = x;
        if (cap > 0) {
          for (double& value : y) value = cap * std::tanh(value / cap);
        }
        return y;
      };
      const auto loss = [&] {
        Values y = logits();
        return 3.0 * ref::cross_entropy(y.data(), 11, 4, smoothing, cap, 0.0);
      };
      Values gradient = logits();
      ref::cross_entropy(gradient.data(), 11, 4, smoothing, cap, 3.0);
      expect_gradient(x, gradient, loss, "logits");
    }
  }
}

TEST_F(GradientCheck, Attention) {
  constexpr std::int64_t kTokens = 6;
  constexpr std::int64_t kDim = 3;
  for (const std::int64_t window : {0, 3}) {
    for (const double cap : {0.0, 1.5}) {
      // With the cap, a quarter of the probabilities is dropped too.
      const AttentionDropout dropout{.key = 5,
                                     .threshold = cap > 0 ? std::uint32_t{1} << 29U : 0,
                                     .scale = cap > 0 ? 4.0F / 3.0F : 1.0F};
      Values q = normal(kTokens * kDim);
      Values k = normal(kTokens * kDim);
      Values v = normal(kTokens * kDim);
      const Values dy = normal(kTokens * kDim);
      const auto head = [&] {
        return ref::AttentionHead<double>{.query = q.data(),
                                          .key = k.data(),
                                          .value = v.data(),
                                          .stride = kDim,
                                          .kv_stride = kDim,
                                          .tokens = kTokens,
                                          .head_dim = kDim,
                                          .scale = 0.7,
                                          .sliding_window = window,
                                          .softcap = cap,
                                          .dropout = dropout};
      };
      const auto output = [&] {
        Values y(kTokens * kDim);
        ref::attention_rows<double>(head(), 0, kTokens, y.data(), nullptr, 0);
        return y;
      };
      const auto loss = [&] { return dot(output(), dy); };
      const Values y = output();
      Values dq(q.size(), NAN);
      Values dk(k.size(), 0.0);
      Values dv(v.size(), 0.0);
      ref::attention_gradient(head(), y.data(), dy.data(), dq.data(), dk.data(), dv.data());
      expect_gradient(q, dq, loss, "q");
      expect_gradient(k, dk, loss, "k");
      expect_gradient(v, dv, loss, "v");
    }
  }
}

}  // namespace
}  // namespace tessera::kernels::testing
