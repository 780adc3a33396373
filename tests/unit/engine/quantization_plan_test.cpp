// Which tensor gets which type; by names and shapes alone.
#include "engine/quantization_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace tessera::engine {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

TensorInfo tensor(std::string name, const Shape& shape, DType dtype = DType::f16) {
  TensorInfo info;
  info.name = std::move(name);
  info.shape = shape;
  info.dtype = dtype;
  return info;
}

std::vector<TensorInfo> model(std::int64_t layers, std::int64_t width) {
  std::vector<TensorInfo> tensors = {tensor("token_embd.weight", {1000, width})};
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string at = "blk." + std::to_string(i) + ".";
    tensors.push_back(tensor(at + "attn_norm.weight", {width}, DType::f32));
    tensors.push_back(tensor(at + "attn_v.weight", {width, width}));
    tensors.push_back(tensor(at + "ffn_down.weight", {width, 2 * width}));
    tensors.push_back(tensor(at + "ffn_up.weight", {2 * width, width}));
  }
  return tensors;
}

PlannedTensor planned(const std::vector<PlannedTensor>& plan, std::string_view name) {
  for (const PlannedTensor& tensor : plan) {
    if (tensor.name == name) return tensor;
  }
  ADD_FAILURE() << "no " << name;
  return {};
}

TEST(QuantizationPlan, NamesAreTakenInAnyCaseAndListedWhenUnknown) {
  EXPECT_EQ(quantization_recipe("q4_k_m").name, "Q4_K_M");
  for (const std::string& name : quantization_recipe_names()) EXPECT_EQ(quantization_recipe(name).name, name);
  try {
    (void)quantization_recipe("Q7_X");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_usage);
    EXPECT_THAT(error.what(), HasSubstr("Q5_K_S"));
    EXPECT_THAT(error.what(), HasSubstr("Q7_X"));
  }
}

TEST(QuantizationPlan, VectorsStayFloatAndPositionsAndIntegersStayAsTheyAre) {
  const std::vector<TensorInfo> tensors = {
      tensor("output_norm.weight", {256}, DType::bf16), tensor("position_embd.weight", {64, 256}, DType::f32),
      tensor("blk.0.attn_q.bias", {256}, DType::f16), tensor("blk.0.table", {4, 256}, DType::i32)};
  const auto plan = plan_quantization(tensors, quantization_recipe("Q4_K"));
  EXPECT_EQ(plan[0].to, DType::f32);
  EXPECT_EQ(plan[1].to, DType::f32);
  EXPECT_EQ(plan[1].choice, TensorChoice::kept);
  EXPECT_EQ(plan[2].to, DType::f32);
  EXPECT_EQ(plan[3].to, DType::i32);
}

TEST(QuantizationPlan, TheOutputMatrixGetsMoreBits) {
  auto tensors = model(1, 256);
  EXPECT_EQ(planned(plan_quantization(tensors, quantization_recipe("Q4_0")), "token_embd.weight").to,
            DType::q6_k);
  tensors.push_back(tensor("output.weight", {1000, 256}));
  const auto plan = plan_quantization(tensors, quantization_recipe("Q4_0"));
  EXPECT_EQ(planned(plan, "token_embd.weight").to, DType::q4_0);
  EXPECT_EQ(planned(plan, "output.weight").to, DType::q6_k);
  QuantizationRecipe pure = quantization_recipe("Q4_0");
  pure.pure = true;
  EXPECT_EQ(planned(plan_quantization(tensors, pure), "output.weight").to, DType::q4_0);
  EXPECT_EQ(planned(plan_quantization(tensors, quantization_recipe("Q8_0")), "output.weight").to,
            DType::q8_0);
}

TEST(QuantizationPlan, HuggingFaceNamesMeanTheSame) {
  const std::vector<TensorInfo> tensors = {tensor("model.embed_tokens.weight", {1000, 256}),
                                           tensor("model.layers.0.self_attn.v_proj.weight", {256, 256}),
                                           tensor("lm_head.weight", {1000, 256}),
                                           tensor("transformer.wpe.weight", {64, 256})};
  const auto plan = plan_quantization(tensors, quantization_recipe("Q4_K_M"));
  EXPECT_EQ(plan[0].to, DType::q4_k);
  EXPECT_EQ(plan[1].to, DType::q6_k);  // of one layer, it is among the last eighth
  EXPECT_EQ(plan[2].to, DType::q6_k);
  EXPECT_EQ(plan[3].choice, TensorChoice::kept);
}

// With 16 layers the first and last eighth are 0, 1 and 14, 15; between, layers 4, 7, 10 and 13 count 2
// modulo 3 from the first eighth's end.
TEST(QuantizationPlan, MixesSpendMoreOnSomeLayers) {
  const auto plan = plan_quantization(model(16, 256), quantization_recipe("Q4_K_M"));
  for (std::int64_t layer = 0; layer < 16; ++layer) {
    const bool more = layer < 2 || layer >= 14 || layer == 4 || layer == 7 || layer == 10 || layer == 13;
    const std::string at = "blk." + std::to_string(layer) + ".";
    EXPECT_EQ(planned(plan, at + "attn_v.weight").to, more ? DType::q6_k : DType::q4_k) << layer;
    EXPECT_EQ(planned(plan, at + "ffn_down.weight").to, more ? DType::q6_k : DType::q4_k) << layer;
    EXPECT_EQ(planned(plan, at + "ffn_up.weight").to, DType::q4_k) << layer;
  }
  const auto small = plan_quantization(model(16, 256), quantization_recipe("Q4_K_S"));
  EXPECT_EQ(planned(small, "blk.3.attn_v.weight").to, DType::q5_k);
  EXPECT_EQ(planned(small, "blk.4.attn_v.weight").to, DType::q4_k);
  EXPECT_EQ(planned(small, "blk.1.ffn_down.weight").to, DType::q5_k);
  EXPECT_EQ(planned(small, "blk.2.ffn_down.weight").to, DType::q4_k);
}

TEST(QuantizationPlan, RowsWithoutWholeBlocksFallBackAndAreCounted) {
  const auto plan = plan_quantization(model(2, 96), quantization_recipe("Q4_K"));
  EXPECT_EQ(planned(plan, "blk.0.ffn_up.weight").to, DType::q5_0);
  EXPECT_EQ(planned(plan, "token_embd.weight").to, DType::q8_0);  // from Q6_K
  EXPECT_EQ(planned(plan_quantization(model(2, 96), quantization_recipe("Q5_K")), "blk.0.ffn_up.weight").to,
            DType::q5_1);
  EXPECT_EQ(planned(plan_quantization(model(2, 24), quantization_recipe("Q8_0")), "blk.0.ffn_up.weight").to,
            DType::f16);
  const auto lines = describe_plan(plan);
  EXPECT_THAT(lines, Contains("6 tensors Q5_0 instead of Q4_K: rows of 96, 192 are no multiple of 256"));
  EXPECT_THAT(lines, Contains("2 tensors F32: norms and biases"));
}

TEST(QuantizationPlan, CountsTheBytes) {
  const std::vector<TensorInfo> tensors = {tensor("blk.0.ffn_up.weight", {10, 512}), tensor("a.bias", {7})};
  const auto plan = plan_quantization(tensors, quantization_recipe("Q4_K"));
  EXPECT_EQ(planned_bytes(plan), 10U * 2 * 144 + 7 * 4);
}

}  // namespace
}  // namespace tessera::engine
