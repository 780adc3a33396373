// Weights rounded to other types: what ops/quantize adds to the kernels (tests/numerics/quantize_test.cpp).
#include "ops/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"

namespace tessera::ops {
namespace {

Tensor random_weight(std::int64_t rows, std::int64_t columns) {
  std::mt19937 random{42};
  std::normal_distribution<float> normal;
  Tensor tensor = Tensor::empty({rows, columns});
  std::ranges::generate(tensor.as_mutable<float>(), [&] { return normal(random); });
  return tensor;
}

std::vector<std::byte> bytes_of(const Tensor& tensor) {
  return {tensor.raw(), tensor.raw() + tensor.bytes()};
}

std::vector<DType> targets() {
  return {DType::f32,  DType::f16,  DType::bf16, DType::q4_0, DType::q4_1, DType::q5_0,
          DType::q5_1, DType::q8_0, DType::q4_k, DType::q5_k, DType::q6_k};
}

TEST(Quantize, SaysWhatItCanRoundTo) {
  for (const DType dtype : targets()) EXPECT_TRUE(can_quantize_to(dtype)) << name(dtype);
  for (const DType dtype : {DType::i32, DType::u8, DType::q2_k, DType::iq4_nl}) {
    EXPECT_FALSE(can_quantize_to(dtype)) << name(dtype);
  }
}

TEST(Quantize, BytesDoNotDependOnThreads) {
  const Tensor weight = random_weight(37, 512);
  const int before = thread_pool().size();
  for (const DType dtype : targets()) {
    set_thread_count(1);
    const auto alone = bytes_of(quantize(weight, dtype, "w"));
    set_thread_count(3);
    EXPECT_EQ(bytes_of(quantize(weight, dtype, "w")), alone) << name(dtype);
  }
  set_thread_count(before);
}

TEST(Quantize, KeepsShapeAndTakesEverySource) {
  const Tensor weight = random_weight(3, 256).reshape({3, 1, 256});
  for (const DType first : targets()) {
    const Tensor stored = quantize(weight, first, "w");
    EXPECT_EQ(stored.dtype(), first);
    for (const DType second : targets()) {
      const Tensor again = quantize(stored, second, "w");
      EXPECT_EQ(again.dtype(), second);
      EXPECT_TRUE(again.shape() == weight.shape());
    }
  }
}

TEST(Quantize, TheSameTypeIsNotCopied) {
  const Tensor weight = quantize(random_weight(2, 64), DType::q8_0, "w");
  EXPECT_EQ(quantize(weight, DType::q8_0, "w").raw(), weight.raw());
}

// The largest value of a block is 127 f16(d), from which the same f16 scale follows, and from it the same
// quants.
TEST(Quantize, Q8IsStableUnderASecondRound) {
  const Tensor once = quantize(random_weight(8, 128), DType::q8_0, "w");
  const Tensor wide = quantize(once, DType::f32, "w");
  const Tensor twice = quantize(quantize(wide, DType::q8_0, "w"), DType::f32, "w");
  const auto a = wide.as<float>();
  const auto b = twice.as<float>();
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i], b[i]) << i;
}

TEST(Quantize, NamesAValueThatCannotBeStored) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf(""), 70000.0F}) {
    Tensor weight = random_weight(4, 256);
    weight.as_mutable<float>()[2 * 256 + 5] = bad;
    for (const DType dtype : {DType::q4_k, DType::q8_0, DType::f16}) {
      try {
        (void)quantize(weight, dtype, "file: tensor 'w'");
        ADD_FAILURE() << "accepted " << bad;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::bad_input);
        EXPECT_THAT(error.what(), ::testing::HasSubstr("file: tensor 'w', row 2, column 5"));
      }
    }
  }
}

TEST(Quantize, RowsMustHoldWholeBlocks) {
  EXPECT_THROW((void)quantize(random_weight(2, 48), DType::q8_0, "w"), Error);
  EXPECT_THROW((void)quantize(random_weight(2, 96), DType::q4_k, "w"), Error);
}

}  // namespace
}  // namespace tessera::ops
