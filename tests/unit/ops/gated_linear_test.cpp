#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/linear.h"
#include "ops/quantize.h"

namespace tessera::ops {
namespace {

Tensor random_tensor(const Shape& shape, std::mt19937& random) {
  Tensor tensor = Tensor::empty(shape);
  std::normal_distribution<float> normal;
  for (float& value : tensor.as_mutable<float>()) value = normal(random);
  return tensor;
}

// What is combined strip by strip has the bits of what is stored whole, wherever strips and threads end and
// wherever the matrices begin in their panels.
TEST(GatedLinear, GivesTheBitsOfItsParts) {
  std::mt19937 random(std::random_device{}());
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q4_0, DType::q8_0}) {
    PackedMemory memory;
    const Tensor stored = quantize(random_tensor({520, 64}, random), dtype, "test");
    const WeightMatrix whole = WeightMatrix::can_pack(stored) ? WeightMatrix::packed(stored, memory) : stored;
    for (const auto& [tokens, features] : {std::pair{1, 250}, {2, 1}, {7, 100}, {600, 260}, {33, 97}}) {
      const WeightMatrix gate = whole.slice(0, features);
      const WeightMatrix up = whole.slice(260, 260 + features);
      const Tensor x = random_tensor({tokens, 64}, random);
      const Tensor bias = random_tensor({features}, random);
      const Projection both[] = {{&gate, &bias}, {&up}};
      const auto parts = linear_together(x, both);
      const Tensor expected = gated_activation(parts[0], parts[1], Activation::silu);
      for (const int threads : {1, 2, 3}) {
        set_thread_count(threads);
        const Tensor found = gated_linear(x, both[0], both[1], Activation::silu);
        ASSERT_EQ(found.shape(), expected.shape());
        EXPECT_EQ(std::memcmp(found.raw(), expected.raw(), found.bytes()), 0)
            << name(dtype) << " T=" << tokens << " F=" << features << " on " << threads << " threads";
      }
    }
  }
  set_thread_count(usable_cpus());
}

TEST(GatedLinear, RejectsPartsThatDoNotFit) {
  std::mt19937 random(5);
  PackedMemory memory;
  const Tensor stored = quantize(random_tensor({40, 64}, random), DType::q8_0, "test");
  if (!WeightMatrix::can_pack(stored)) GTEST_SKIP() << "no packed form on this CPU";
  const WeightMatrix whole = WeightMatrix::packed(stored, memory);
  const WeightMatrix part = whole.slice(0, 30);
  EXPECT_THROW((void)gated_linear(Tensor::zeros({2, 64}), {&whole}, {&part}, Activation::silu), Error);
  EXPECT_THROW((void)gated_linear(Tensor::zeros({2, 32}), {&whole}, {&whole}, Activation::silu), Error);
}

}  // namespace
}  // namespace tessera::ops
