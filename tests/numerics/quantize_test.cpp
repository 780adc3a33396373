// Rounding to every type weights are stored in: the same bits as the Python package `gguf`
// (tools/make_golden_quantize.py) where that can write the type, and bounds on the error for all.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "kernels/kernel_table.h"
#include "numerics/kernel_test_support.h"
#include "support/test_paths.h"

namespace tessera::kernels {
namespace {

constexpr std::int64_t kCount = 16 * 256;

const KernelTable& scalar() { return table(Isa::scalar); }

std::vector<std::byte> quantized(DType dtype, const std::vector<float>& values) {
  const auto count = static_cast<std::int64_t>(values.size());
  std::vector<std::byte> blocks(row_bytes(dtype, count));
  scalar().quantize[static_cast<std::size_t>(dtype)](values.data(), blocks.data(), count);
  return blocks;
}

std::vector<float> there_and_back(DType dtype, const std::vector<float>& values) {
  const std::vector<std::byte> blocks = quantized(dtype, values);
  std::vector<float> result(values.size());
  scalar().dequantize[static_cast<std::size_t>(dtype)](blocks.data(), result.data(),
                                                       static_cast<std::int64_t>(values.size()));
  return result;
}

double root_mean_square_error(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(double{a[i]} - double{b[i]}, 2.0);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

class QuantizeGolden : public ::testing::TestWithParam<DType> {};

TEST_P(QuantizeGolden, EqualsTheIndependentWriterBitForBit) {
  const auto folder = tessera::testing::golden_dir() / "quantize";
  const std::string bytes = read_file((folder / "input.values").string());
  const std::string expected = read_file((folder / (std::string(name(GetParam())) + ".blocks")).string());
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  ASSERT_GT(values.size(), 1000U);
  const std::vector<std::byte> found = quantized(GetParam(), values);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(std::to_integer<int>(found[i]), static_cast<unsigned char>(expected[i]))
        << name(GetParam()) << ", byte " << i;
  }
}

std::string type_name(const ::testing::TestParamInfo<DType>& info) { return std::string(name(info.param)); }
INSTANTIATE_TEST_SUITE_P(Types, QuantizeGolden,
                         ::testing::Values(DType::f16, DType::bf16, DType::q4_0, DType::q4_1, DType::q5_0,
                                           DType::q5_1, DType::q8_0),
                         type_name);

// Fresh random rows of several shapes; TESSERA_TEST_SEED repeats them.
class QuantizeKQuants : public ::testing::Test {
 protected:
  void SetUp() override { RecordProperty("seed", std::to_string(seed_)); }
  std::vector<float> make(const std::function<double()>& draw) {
    std::vector<float> values(kCount);
    std::ranges::generate(values, [&] { return static_cast<float>(draw()); });
    return values;
  }
  std::vector<std::vector<float>> distributions() {
    std::normal_distribution<double> normal;
    std::uniform_real_distribution<double> uniform(-1.0, 1.0);
    std::student_t_distribution<double> heavy(4.0);
    return {make([&] { return 0.02 * normal(random_); }), make([&] { return uniform(random_); }),
            make([&] { return heavy(random_); }), make([&] { return 5.0 + normal(random_); }),
            make([&] { return -5.0 + 0.1 * normal(random_); })};
  }

  std::uint64_t seed_ = testing::fresh_seed();
  std::mt19937_64 random_{seed_};
};

// The search starts from spreading a sub-block's range [min(x, 0), max(x, 0)] = R over all levels, where
// rounding errs by at most half a level: an error of R / (2 levels) for each element, and what it exchanges
// that for has a smaller weighted sum of squares. The weights of one sub-block differ by at most a factor
// (max|x| + rms) / rms <= 1 + sqrt(n), n elements a sub-block. Rounding scale and minimum to 6 bits of the
// super-block's largest adds half of 1/63 of each, times at most `levels` quants for the scale: for the
// largest R of the super-block, that is R / 126 for both. Q6_K likewise with 31 levels a side, and its scale
// in steps of 1/128 of the largest.
TEST_F(QuantizeKQuants, ErrorStaysWithinWhatTheLevelsAllow) {
  struct Case {
    DType dtype;
    double levels;
    double integer_steps;
    std::size_t sub_block;
  };
  for (const auto& [dtype, levels, steps, sub_block] :
       {Case{DType::q4_k, 15, 63, 32}, Case{DType::q5_k, 31, 63, 32}, Case{DType::q6_k, 62, 128, 16}}) {
    for (const std::vector<float>& values : distributions()) {
      const std::vector<float> result = there_and_back(dtype, values);
      for (std::size_t base = 0; base < values.size(); base += 256) {
        const std::vector<float> x(values.begin() + static_cast<std::ptrdiff_t>(base),
                                   values.begin() + static_cast<std::ptrdiff_t>(base + 256));
        const std::vector<float> y(result.begin() + static_cast<std::ptrdiff_t>(base),
                                   result.begin() + static_cast<std::ptrdiff_t>(base + 256));
        const auto [low, high] = std::ranges::minmax(x);
        const double range = dtype == DType::q6_k ? 2.0 * std::max(std::abs(low), std::abs(high))
                                                  : std::max(high, 0.0F) - std::min(low, 0.0F);
        const double bound =
            range * (0.5 / levels + 1.0 / steps) * std::sqrt(1.0 + std::sqrt(static_cast<double>(sub_block)));
        EXPECT_LE(root_mean_square_error(x, y), bound) << name(dtype) << " seed " << seed_;
      }
    }
  }
}

// Against the 32-element types: Q4_K takes 4.5 bits an element as Q4_0 does, Q5_K 5.5 as Q5_0; Q6_K (6.5625)
// has no peer, and must beat the next lower one by the half that a further bit is worth.
TEST_F(QuantizeKQuants, BeatsTheBlocksOfTheSameSize) {
  for (const std::vector<float>& values : distributions()) {
    const auto error = [&](DType dtype) {
      return root_mean_square_error(values, there_and_back(dtype, values));
    };
    EXPECT_LT(error(DType::q4_k), error(DType::q4_0)) << "seed " << seed_;
    EXPECT_LT(error(DType::q5_k), error(DType::q5_0)) << "seed " << seed_;
    EXPECT_LT(error(DType::q6_k), error(DType::q5_0) / 2) << "seed " << seed_;
  }
}

// What a K-quant holds exactly comes back exactly: scales are powers of two here, quants and integers in
// range.
TEST_F(QuantizeKQuants, ValuesOnTheGridAreKept) {
  for (const auto& [dtype, highest] : {std::pair{DType::q4_k, 15}, std::pair{DType::q5_k, 31}}) {
    std::uniform_int_distribution<int> any(0, highest);
    std::vector<float> values(kCount);
    for (std::size_t i = 0; i < values.size(); ++i) {
      // Every sub-block has both ends of its range, so that no other scale can do as well.
      const int q = i % 32 == 0 ? 0 : i % 32 == 1 ? highest : any(random_);
      values[i] = 0.25F * static_cast<float>(63 * q) - 0.5F * 63.0F * 4.0F;
    }
    EXPECT_LE(root_mean_square_error(values, there_and_back(dtype, values)), 1e-6 * 63.0 * highest)
        << name(dtype) << " seed " << seed_;
  }
}

TEST_F(QuantizeKQuants, ZerosTinyAndConstantRowsAreSafe) {
  for (const DType dtype : {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q8_0, DType::q4_k,
                            DType::q5_k, DType::q6_k}) {
    EXPECT_EQ(there_and_back(dtype, std::vector<float>(256, 0.0F)), std::vector<float>(256, 0.0F));
    for (const float value : {1e-38F, -1e-38F, 1e-45F, 3e-8F, 65504.0F, -65504.0F, 1.0F, -1.0F}) {
      std::vector<float> values(256, value);
      values[7] = 0.0F;
      // f16 cannot hold a scale below 2^-24; half a step of it times the largest quant is what may be lost.
      const double tolerance = 128.0 * 0x1p-25 + std::abs(double{value}) / 24.0;
      for (const float back : there_and_back(dtype, values)) {
        ASSERT_TRUE(std::isfinite(back)) << name(dtype) << " of " << value;
        EXPECT_LE(std::min(std::abs(double{back} - double{value}), std::abs(double{back})), tolerance)
            << name(dtype) << " of " << value;
      }
    }
  }
}

TEST_F(QuantizeKQuants, TheSameRowGivesTheSameBlockWhereverItLies) {
  const std::vector<float> values = distributions().front();
  for (const DType dtype : {DType::q4_k, DType::q5_k, DType::q6_k}) {
    const std::vector<std::byte> whole = quantized(dtype, values);
    const std::vector<float> last(values.end() - 256, values.end());
    const std::vector<std::byte> alone = quantized(dtype, last);
    EXPECT_TRUE(
        std::equal(alone.begin(), alone.end(), whole.end() - static_cast<std::ptrdiff_t>(alone.size())));
  }
}

}  // namespace
}  // namespace tessera::kernels
