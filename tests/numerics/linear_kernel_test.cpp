// Linear and dequantise kernels of every ISA and weight type against kernels/ref.
#include "numerics/kernel_test_support.h"

namespace tessera::kernels::testing {
namespace {

constexpr DType kWeightTypes[] = {DType::f32,  DType::f16,  DType::bf16, DType::q4_0,  DType::q4_1,
                                  DType::q5_0, DType::q5_1, DType::q8_0, DType::q2_k,  DType::q3_k,
                                  DType::q4_k, DType::q5_k, DType::q6_k, DType::iq4_nl};

// Row lengths: odd ones for plain types, whole blocks for the others.
std::vector<std::int64_t> lengths(DType dtype) {
  const std::int64_t block = traits(dtype).block_elements;
  if (block > 1) return {block, 2 * block, 3 * block, 7 * block};
  return {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 257, 576};
}

struct Problem {
  DType dtype;
  std::int64_t tokens;
  std::int64_t in;
  std::int64_t out;
  std::vector<float> x;
  std::vector<std::byte> w;
  std::vector<float> bias;  // may be empty

  // Rows [begin, end) of the first `count` tokens from `first`, into a buffer [count, out].
  void run(LinearKernel kernel, const float* input, const std::byte* weight, float* output,
           std::int64_t count, std::int64_t begin, std::int64_t end) const {
    LinearArguments arguments;
    arguments.input = input;
    arguments.input_stride = in;
    arguments.weight = weight;
    arguments.bias = bias.empty() ? nullptr : bias.data();
    arguments.output = output;
    arguments.output_stride = out;
    arguments.tokens = count;
    arguments.in_features = in;
    arguments.row_begin = begin;
    arguments.row_end = end;
    kernel(arguments);
  }
};

class LinearKernels : public KernelTest {
 protected:
  Problem problem(DType dtype, std::int64_t tokens, std::int64_t in, std::int64_t out, bool biased) {
    return {dtype,
            tokens,
            in,
            out,
            normal(tokens * in),
            weights(dtype, out, in),
            biased ? normal(out) : std::vector<float>{}};
  }
  LinearKernel kernel(DType dtype) const { return fast().linear[static_cast<std::size_t>(dtype)]; }

  // A sum of K products, each lane a chain of ceil(K / lanes) fused multiply-adds (one rounding each), then
  // at most log2(lanes) <= 4 additions of lanes and one of the bias: Higham's gamma_n bounds the error by
  // (ceil(K / 8) + 5) u * (sum |x w| + |bias|), u = 2^-24; one more u for the reference's own final rounding,
  // and second-order terms are below 1 u for K < 2^20.
  void expect_close(const Problem& p, const std::vector<float>& found) {
    std::vector<float> row(static_cast<std::size_t>(p.in));
    const std::size_t bytes = row_bytes(p.dtype, p.in);
    const double gamma = (static_cast<double>((p.in + 7) / 8) + 7) * kUnitRoundoff;
    for (std::int64_t n = 0; n < p.out; ++n) {
      reference().dequantize[static_cast<std::size_t>(p.dtype)](
          p.w.data() + static_cast<std::size_t>(n) * bytes, row.data(), p.in);
      for (std::int64_t t = 0; t < p.tokens; ++t) {
        double sum = p.bias.empty() ? 0 : p.bias[static_cast<std::size_t>(n)];
        double magnitude = std::abs(sum);
        for (std::int64_t k = 0; k < p.in; ++k) {
          const double product =
              double{p.x[static_cast<std::size_t>(t * p.in + k)]} * row[static_cast<std::size_t>(k)];
          sum += product;
          magnitude += std::abs(product);
        }
        ASSERT_NEAR(found[static_cast<std::size_t>(t * p.out + n)], sum, gamma * magnitude)
            << name(p.dtype) << " T=" << p.tokens << " K=" << p.in << " N=" << p.out << " t=" << t
            << " n=" << n << " on " << where();
      }
    }
  }
};

TEST_P(LinearKernels, AgreeWithTheReferenceAtOddSizesAndMisalignments) {
  for (const DType dtype : kWeightTypes) {
    for (const std::int64_t in : lengths(dtype)) {
      for (const std::int64_t tokens : {1, 2, 3, 5, 7}) {
        const std::int64_t out = uniform(1, 40);
        const Problem p = problem(dtype, tokens, in, out, uniform(0, 1) == 1);
        const GuardedBuffer<float> x(p.x, uniform(0, 15));
        const GuardedBuffer<std::byte> w(p.w, uniform(0, 15));
        GuardedBuffer<float> y(tokens * out, uniform(0, 15));
        p.run(kernel(dtype), x.data(), w.data(), y.data(), tokens, 0, out);
        expect_close(p, y.values());
        ASSERT_TRUE(y.guards_intact()) << name(dtype) << " K=" << in << " on " << where();
        if (HasFatalFailure()) return;
      }
    }
  }
}

// What a token gets must not depend on the others in the call, nor on how rows are cut into ranges.
TEST_P(LinearKernels, GiveATokenTheSameBitsAloneAndInCompany) {
  for (const DType dtype : kWeightTypes) {
    for (const std::int64_t in : {lengths(dtype).back(), lengths(dtype)[2]}) {
      const std::int64_t tokens = uniform(2, 40);
      const std::int64_t out = uniform(17, 70);
      const Problem p = problem(dtype, tokens, in, out, true);
      std::vector<float> together(static_cast<std::size_t>(tokens * out), NAN);
      p.run(kernel(dtype), p.x.data(), p.w.data(), together.data(), tokens, 0, out);
      std::vector<float> alone(together.size(), NAN);
      for (std::int64_t t = 0; t < tokens; ++t) {
        for (std::int64_t begin = 0, end = 0; begin < out; begin = end) {
          end = std::min(out, begin + uniform(1, 20));
          p.run(kernel(dtype), p.x.data() + t * in, p.w.data(), alone.data() + t * out, 1, begin, end);
        }
      }
      ASSERT_EQ(std::memcmp(alone.data(), together.data(), alone.size() * sizeof(float)), 0)
          << name(dtype) << " T=" << tokens << " K=" << in << " N=" << out << " on " << where();
    }
  }
}

// Widening has one right answer: a format's products are exact in float32 and its sums rounded once. (Zero
// may have either sign: d (8 - 8) is -0 for negative d, d 8 - 8 d is +0.)
TEST_P(LinearKernels, WidenToTheSameBitsAsTheReference) {
  for (const DType dtype : kWeightTypes) {
    const auto index = static_cast<std::size_t>(dtype);
    for (const std::int64_t count : lengths(dtype)) {
      const GuardedBuffer<std::byte> source(weights(dtype, 1, count), uniform(0, 15));
      std::vector<float> expected(static_cast<std::size_t>(count), NAN);
      reference().dequantize[index](source.data(), expected.data(), count);
      GuardedBuffer<float> found(count, uniform(0, 15));
      fast().dequantize[index](source.data(), found.data(), count);
      ASSERT_EQ(found.values(), expected) << name(dtype) << " x " << count << " on " << where();
      ASSERT_TRUE(found.guards_intact()) << name(dtype) << " x " << count << " on " << where();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, LinearKernels, ::testing::ValuesIn(available_isas()), isa_test_name);

}  // namespace
}  // namespace tessera::kernels::testing
