#include "ops/weight_matrix.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/embedding.h"
#include "ops/linear.h"
#include "ops/quantize.h"

namespace tessera::ops {
namespace {

Tensor random_matrix(std::int64_t rows, std::int64_t columns, DType dtype) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  Tensor values = Tensor::empty({rows, columns});
  for (float& value : values.as_mutable<float>()) value = normal(random);
  return quantize(values, dtype, "test");
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

constexpr DType kTypes[] = {DType::f32,  DType::f16,  DType::bf16, DType::q4_0, DType::q4_1,
                            DType::q5_0, DType::q5_1, DType::q8_0, DType::q4_k, DType::q6_k};

TEST(WeightMatrix, PackedRowsAreLookedUpWithoutLoss) {
  for (const DType dtype : kTypes) {
    const Tensor stored = random_matrix(37, 512, dtype);
    if (!WeightMatrix::can_pack(stored)) continue;
    PackedMemory memory;
    const std::vector<std::int32_t> ids = {36, 0, 15, 16, 17};
    EXPECT_TRUE(same(embedding(ids, WeightMatrix::packed(stored, memory)), embedding(ids, stored)))
        << name(dtype);
  }
}

// A slice keeps its rows whatever place they have in their panel, and gives the bits that the whole gives.
TEST(WeightMatrix, SlicesOfPackedMatricesGiveTheBitsOfTheWhole) {
  const Tensor x = random_matrix(11, 256, DType::f32);
  for (const DType dtype : kTypes) {
    const Tensor stored = random_matrix(70, 256, dtype);
    if (!WeightMatrix::can_pack(stored)) continue;
    PackedMemory memory;
    const WeightMatrix whole = WeightMatrix::packed(stored, memory);
    const Tensor all = linear(x, whole);
    for (const int threads : {1, 2, 3}) {
      set_thread_count(threads);
      for (const auto& [begin, end] : {std::pair{0, 70}, {16, 48}, {5, 23}, {17, 18}, {33, 70}}) {
        const WeightMatrix part = whole.slice(3, 70).slice(std::max(0, begin - 3), end - 3);
        const Tensor some = linear(x, part);
        ASSERT_EQ(some.dim(1), part.rows());
        for (std::int64_t t = 0; t < 11; ++t) {
          EXPECT_EQ(std::memcmp(some.as<float>().data() + t * part.rows(),
                                all.as<float>().data() + t * 70 + std::max(begin, 3),
                                static_cast<std::size_t>(part.rows()) * sizeof(float)),
                    0)
              << name(dtype) << " [" << begin << ", " << end << ") token " << t;
        }
      }
    }
    set_thread_count(usable_cpus());
  }
}

TEST(WeightMatrix, OneMemoryServesManyMatricesOfAnySize) {
  PackedMemory memory;
  std::vector<PackedMemory::Piece> pieces;
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{100'000}, std::size_t{70'000'000}, std::size_t{64}}) {
    pieces.push_back(memory.take(bytes));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pieces.back().bytes) % 64, 0U);
    std::memset(pieces.back().bytes, static_cast<int>(pieces.size()), bytes);
  }
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    EXPECT_EQ(pieces[i].storage->bytes()[pieces[i].offset], static_cast<std::byte>(i + 1));
  }
}

TEST(WeightMatrix, SaysWhatItIsNot) {
  EXPECT_THROW((void)WeightMatrix(Tensor::zeros({4})), Error);
  const Tensor integers = Tensor::zeros({4, 4}, DType::i32);
  EXPECT_FALSE(WeightMatrix::can_pack(integers));
  PackedMemory memory;
  EXPECT_THROW((void)WeightMatrix::packed(integers, memory), Error);
  const Tensor stored = random_matrix(16, 32, DType::q4_0);
  if (!WeightMatrix::can_pack(stored)) return;
  const WeightMatrix packed = WeightMatrix::packed(stored, memory);
  EXPECT_THROW((void)packed.stored(), Error);
  EXPECT_THROW((void)packed.slice(3, 17), Error);
}

}  // namespace
}  // namespace tessera::ops
