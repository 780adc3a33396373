// Norms, activations, rotary embedding, softmax, sums and roundings of every ISA against kernels/ref.
#include <functional>

#include "numerics/kernel_test_support.h"

namespace tessera::kernels::testing {
namespace {

constexpr double kU = kUnitRoundoff;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class ElementwiseKernels : public KernelTest {
 protected:
  static std::vector<std::int64_t> lengths() {
    return {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 257, 576};
  }

  // found[i] within bound(i) of expected[i], and nothing written around.
  void expect_within(const GuardedBuffer<float>& found, const std::vector<float>& expected,
                     const std::function<double(std::size_t)>& bound, const std::string& what) {
    const std::vector<float> values = found.values();
    ASSERT_EQ(values.size(), expected.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], expected[i], bound(i))
          << what << ", element " << i << " of " << values.size() << " on " << where();
    }
    ASSERT_TRUE(found.guards_intact()) << what << " on " << where();
  }
};

// silu: exp within 2 units (math.h) plus (|x| u) from nothing (-x is exact), one addition, one division: 4
// units and 1 for the reference. gelu_tanh: the exponent 2u = 1.6 (x + 0.045 x^3) has 4 roundings, so exp is
// off by the factor 1 + 4 |2u| u as well; where exp dominates, y is tiny but the factor stands: bound 6 u + 4
// |2u| u, relative, plus the smallest subnormal for underflow.
TEST_P(ElementwiseKernels, Activations) {
  for (const std::int64_t count : lengths()) {
    const GuardedBuffer<float> x(normal(count, 4.0F), uniform(0, 15));
    const GuardedBuffer<float> up(normal(count), uniform(0, 15));
    for (std::size_t kind = 0; kind < kActivationCount; ++kind) {
      const bool is_tanh = kind == static_cast<std::size_t>(ActivationKind::gelu_tanh);
      // gelu: the fitted ratio is within 5 units, exp within 2, and seven products and sums follow.
      const double roundings = kind == static_cast<std::size_t>(ActivationKind::gelu) ? 14 : 7;
      std::vector<float> expected(static_cast<std::size_t>(count), NAN);
      const auto bound = [&](std::size_t i) {
        const double v = x.data()[i];
        const double exponent = is_tanh ? std::abs(1.6 * (v + 0.045 * v * v * v)) : 0;
        return (roundings + 4 * exponent) * kU * std::abs(double{expected[i]}) + 1e-37;
      };
      reference().activate[kind](x.data(), expected.data(), count);
      GuardedBuffer<float> y(count, uniform(0, 15));
      fast().activate[kind](x.data(), y.data(), count);
      expect_within(y, expected, bound, "activation " + std::to_string(kind));
      reference().gated_activation[kind](x.data(), up.data(), expected.data(), count);
      GuardedBuffer<float> gated(count, uniform(0, 15));
      fast().gated_activation[kind](x.data(), up.data(), gated.data(), count);
      expect_within(gated, expected, bound, "gated activation " + std::to_string(kind));
    }
  }
}

TEST_P(ElementwiseKernels, ActivationsOfExtremeValues) {
  const std::vector<float> x{0.0F,   -0.0F,   1e-40F, -1e-40F, 88.0F,    -88.0F,
                             150.0F, -150.0F, 3e38F,  -3e38F,  kInfinity};
  const auto count = static_cast<std::int64_t>(x.size());
  for (std::size_t kind = 0; kind < kActivationCount; ++kind) {
    std::vector<float> expected(x.size(), NAN);
    std::vector<float> found(x.size(), NAN);
    reference().activate[kind](x.data(), expected.data(), count);
    fast().activate[kind](x.data(), found.data(), count);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::isinf(expected[i])) {
        EXPECT_EQ(found[i], expected[i]) << "activation " << kind << " of " << x[i] << " on " << where();
      } else {  // exp(-88) is 6e-39: subnormal results keep an absolute error only
        EXPECT_NEAR(found[i], expected[i], 600 * kU * std::abs(expected[i]) + 1e-35)
            << "activation " << kind << " of " << x[i] << " on " << where();
      }
    }
    const float nan = NAN;
    float result = 0;
    fast().activate[kind](&nan, &result, 1);
    EXPECT_TRUE(std::isnan(result)) << "activation " << kind << " hides NaN on " << where();
  }
}

// The sum of n squares is relatively within (n / 8 + 4) u; its root halves that; four more roundings a
// result.
TEST_P(ElementwiseKernels, RmsNorm) {
  for (const std::int64_t count : lengths()) {
    for (const float offset : {0.0F, 1.0F}) {
      const GuardedBuffer<float> x(normal(count, 3.0F), uniform(0, 15));
      const GuardedBuffer<float> weight(normal(count), uniform(0, 15));
      std::vector<float> expected(static_cast<std::size_t>(count), NAN);
      GuardedBuffer<float> y(count, uniform(0, 15));
      reference().rms_norm(x.data(), weight.data(), expected.data(), count, 1e-5F, offset);
      fast().rms_norm(x.data(), weight.data(), y.data(), count, 1e-5F, offset);
      const double relative = (static_cast<double>(count) / 16 + 8) * kU;
      // weight + 1 cancels near weight = -1: its rounding is u of the sum, so it stays relative.
      expect_within(
          y, expected, [&](std::size_t i) { return relative * std::abs(double{expected[i]}) + 1e-30; },
          "rms_norm");
    }
  }
}

// The mean is off by (n / 8 + 4) u times mean |x| <= max |x|; that shifts every centred value, and the
// variance by a relative 2 (n / 8 + 8) u of itself plus the shift squared. With s = 1 / deviation, a result
// is off by gamma (max|x| s + |normalised|) |w| + 2 u |b|.
TEST_P(ElementwiseKernels, LayerNorm) {
  for (const std::int64_t count : lengths()) {
    if (count == 1) continue;  // variance 0: the result is bias alone, amplified rounding otherwise
    const bool biased = uniform(0, 1) == 1;
    const GuardedBuffer<float> x(normal(count, 3.0F), uniform(0, 15));
    const GuardedBuffer<float> weight(normal(count), uniform(0, 15));
    const GuardedBuffer<float> bias(normal(count), uniform(0, 15));
    const float* shift = biased ? bias.data() : nullptr;
    std::vector<float> expected(static_cast<std::size_t>(count), NAN);
    GuardedBuffer<float> y(count, uniform(0, 15));
    reference().layer_norm(x.data(), weight.data(), shift, expected.data(), count, 1e-5F);
    fast().layer_norm(x.data(), weight.data(), shift, y.data(), count, 1e-5F);
    double sum = 0;
    double largest = 0;
    for (const float v : x.values()) {
      sum += v;
      largest = std::max(largest, std::abs(double{v}));
    }
    double variance = 0;
    for (const float v : x.values()) variance += std::pow(v - sum / static_cast<double>(count), 2);
    const double inverse = 1 / std::sqrt(variance / static_cast<double>(count) + 1e-5);
    const double gamma = (static_cast<double>(count) / 8 + 12) * kU;
    expect_within(
        y, expected,
        [&](std::size_t i) {
          return gamma * 3 * largest * inverse * std::abs(double{weight.data()[i]}) +
                 4 * kU * (std::abs(double{bias.data()[i]}) + std::abs(double{expected[i]}));
        },
        "layer_norm");
  }
}

// Two products, one rounded alone and one inside a fused operation: 2 u of |a c| + |b s|, and u for the
// reference.
TEST_P(ElementwiseKernels, RotaryEmbedding) {
  for (const std::int64_t pairs : lengths()) {
    const std::vector<float> x = normal(2 * pairs);
    std::vector<float> cosines = normal(pairs);
    std::vector<float> sines(cosines.size());
    for (std::size_t i = 0; i < cosines.size(); ++i) {
      sines[i] = std::sin(cosines[i]);
      cosines[i] = std::cos(cosines[i]);
    }
    for (const bool half : {true, false}) {
      const GuardedBuffer<float> c(cosines, uniform(0, 15));
      const GuardedBuffer<float> s(sines, uniform(0, 15));
      std::vector<float> expected = x;
      GuardedBuffer<float> found(x, uniform(0, 15));
      const auto kernel = [&](const KernelTable& table) {
        return half ? table.rotary_half : table.rotary_interleaved;
      };
      kernel(reference())(expected.data(), c.data(), s.data(), pairs);
      kernel(fast())(found.data(), c.data(), s.data(), pairs);
      const auto magnitude = [&](std::size_t i) {
        const auto n = static_cast<std::size_t>(pairs);
        const std::size_t pair = half ? i % n : i / 2;
        const double a = x[half ? pair : 2 * pair];
        const double b = x[half ? pair + n : 2 * pair + 1];
        return 3 * kU * (std::abs(a) + std::abs(b));
      };
      expect_within(found, expected, magnitude, half ? "rotary_half" : "rotary_interleaved");
    }
  }
}

TEST_P(ElementwiseKernels, SumsAndScalesAreExact) {
  for (const std::int64_t count : lengths()) {
    const GuardedBuffer<float> a(normal(count), uniform(0, 15));
    const GuardedBuffer<float> b(normal(count), uniform(0, 15));
    std::vector<float> expected(static_cast<std::size_t>(count), NAN);
    GuardedBuffer<float> sum(count, uniform(0, 15));
    reference().add(a.data(), b.data(), expected.data(), count);
    fast().add(a.data(), b.data(), sum.data(), count);
    expect_within(sum, expected, [](std::size_t) { return 0.0; }, "add");
    GuardedBuffer<float> scaled(a.values(), uniform(0, 15));
    expected = a.values();
    reference().scale(expected.data(), 0.37F, count);
    fast().scale(scaled.data(), 0.37F, count);
    expect_within(scaled, expected, [](std::size_t) { return 0.0; }, "scale");
  }
}

// tanh: u for x / cap (which tanh passes on with a factor of at most 1), 3 units for exp, sum and division,
// and where 1 - 2 / (e + 1) is used, at 0.4 and above, those are relative to 1 while the result is at least
// 0.38: 3 / 0.38 = 8.
TEST_P(ElementwiseKernels, Softcap) {
  for (const std::int64_t count : lengths()) {
    std::vector<float> expected = normal(count, 30.0F);
    expected[0] = 1e-20F;
    GuardedBuffer<float> x(expected, uniform(0, 15));
    reference().softcap(expected.data(), 30.0F, count);
    fast().softcap(x.data(), 30.0F, count);
    expect_within(
        x, expected, [&](std::size_t i) { return 12 * kU * std::abs(double{expected[i]}); }, "softcap");
  }
  float extreme[] = {kInfinity, -kInfinity, 3e38F, -3e38F};
  fast().softcap(extreme, 50.0F, 4);
  EXPECT_EQ(extreme[0], 50.0F);
  EXPECT_EQ(extreme[1], -50.0F);
  EXPECT_EQ(extreme[2], 50.0F);
  EXPECT_EQ(extreme[3], -50.0F);
}

// exp: 2 units and |x - max| u from the subtraction; the sum of n terms (n / 8 + 4) u; one division; one for
// the reference. Relative, and absolutely the smallest normal number where exp underflows.
TEST_P(ElementwiseKernels, Softmax) {
  for (const std::int64_t count : lengths()) {
    const std::vector<float> x = normal(count, 10.0F);
    std::vector<float> expected = x;
    GuardedBuffer<float> found(x, uniform(0, 15));
    reference().softmax(expected.data(), count);
    fast().softmax(found.data(), count);
    const double largest = *std::max_element(x.begin(), x.end());
    expect_within(
        found, expected,
        [&](std::size_t i) {
          const double units = static_cast<double>(count) / 8 + 10 + largest - double{x[i]};
          return units * kU * double{expected[i]} + 1.2e-38;
        },
        "softmax");
  }
}

// To nearest even has one right answer.
TEST_P(ElementwiseKernels, NarrowToTheSameBitsAsTheReference) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const auto index = static_cast<std::size_t>(dtype);
    for (const std::int64_t count : lengths()) {
      std::vector<float> values(static_cast<std::size_t>(count));
      for (float& value : values) {
        value = std::bit_cast<float>(static_cast<std::uint32_t>(uniform(0, 0xffffffffLL)));
        if (std::isnan(value)) value = kInfinity;
        if (uniform(0, 1) == 0) value = std::ldexp(normal(1)[0], static_cast<int>(uniform(-26, 17)));
      }
      const auto bytes = count * static_cast<std::int64_t>(traits(dtype).block_bytes);
      std::vector<std::byte> expected(static_cast<std::size_t>(bytes));
      reference().narrow[index](values.data(), expected.data(), count);
      GuardedBuffer<std::byte> found(bytes, uniform(0, 15));
      fast().narrow[index](values.data(), found.data(), count);
      ASSERT_EQ(found.values(), expected) << name(dtype) << " x " << count << " on " << where();
      ASSERT_TRUE(found.guards_intact()) << name(dtype) << " x " << count << " on " << where();
    }
    const float nan = NAN;
    std::byte narrowed[4];
    float widened = 0;
    fast().narrow[index](&nan, narrowed, 1);
    reference().dequantize[index](narrowed, &widened, 1);
    EXPECT_TRUE(std::isnan(widened)) << name(dtype) << " hides NaN on " << where();
  }
}

// Bytes count, in whatever grouping: for every length the checksum must notice each byte of the range and
// none outside.
TEST_P(ElementwiseKernels, ReadsEveryByteOnce) {
  for (const std::int64_t count : {1, 7, 8, 63, 64, 65, 511, 512, 513, 2000}) {
    GuardedBuffer<std::byte> data(std::vector<std::byte>(static_cast<std::size_t>(count)), uniform(0, 15));
    EXPECT_EQ(fast().read(data.data(), static_cast<std::size_t>(count)), 0U) << where();
    data.data()[uniform(0, count - 1)] = std::byte{1};
    EXPECT_NE(fast().read(data.data(), static_cast<std::size_t>(count)), 0U) << where();
  }
}

// After n rounds of s = s / 2 + 1 a chain that started at c holds 2 + (c - 2) / 2^n, all of it exact for
// small n, and their sum differs from n to n: the result shows that every round was done.
TEST_P(ElementwiseKernels, MultiplyAddDoesItsRounds) {
  const double two = fast().multiply_add(20);
  const double chains = static_cast<double>(fast().flops_per_round) / 2;
  EXPECT_NEAR(two, 2 * chains, 1e-3);
  const double start = fast().multiply_add(0);
  for (const int rounds : {1, 2, 3}) {
    EXPECT_EQ(double{fast().multiply_add(rounds)}, 2 * chains + (start - 2 * chains) / (1 << rounds))
        << where();
  }
}

TEST_P(ElementwiseKernels, MultiplyBytesDoesItsRounds) {
  if (fast().multiply_bytes == nullptr) GTEST_SKIP() << "no packed kernels on " << where();
  for (const int rounds : {0, 1, 2, 1000}) {
    EXPECT_EQ(std::int64_t{fast().multiply_bytes(rounds)}, rounds * fast().byte_ops_per_round / 2) << where();
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, ElementwiseKernels, ::testing::ValuesIn(available_isas()), isa_test_name);

}  // namespace
}  // namespace tessera::kernels::testing
