// Names under both schemes, shapes, dtypes, counting, and the tensors nobody asked for; on a source made by
// hand.
#include "models/weight_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "base/error.h"
#include "base/float16.h"
#include "memory_weights.h"

namespace tessera::models {
namespace {

using ::testing::HasSubstr;

TEST(WeightLoader, CallsTensorsAsTheFileDoes) {
  const MemoryWeights hugging_face(NamingScheme::hugging_face, "LlamaForCausalLM");
  const WeightLoader one(hugging_face, {});
  EXPECT_EQ(one.name("model.embed_tokens", "weight"), "model.embed_tokens.weight");
  EXPECT_EQ(one.layer_name(12, "self_attn.q_proj", "bias"), "model.layers.12.self_attn.q_proj.bias");

  const MemoryWeights gguf(NamingScheme::gguf, "llama");
  const WeightLoader two(gguf, {});
  EXPECT_EQ(two.name("model.embed_tokens", "weight"), "token_embd.weight");
  EXPECT_EQ(two.name("lm_head", "weight"), "output.weight");
  EXPECT_EQ(two.layer_name(12, "self_attn.q_proj", "bias"), "blk.12.attn_q.bias");
  EXPECT_EQ(two.layer_name(0, "post_attention_layernorm", "weight"), "blk.0.ffn_norm.weight");
  EXPECT_THROW(two.layer_name(0, "self_attn.unheard_of", "weight"), Error);
}

TEST(WeightLoader, ExceptionsOfAnArchitectureComeFirst) {
  const MemoryWeights gguf(NamingScheme::gguf, "gemma2");
  const WeightLoader weights(gguf, {.exceptions = {{"post_attention_layernorm", "post_attention_norm"}}});
  EXPECT_EQ(weights.layer_name(3, "post_attention_layernorm", "weight"), "blk.3.post_attention_norm.weight");
  EXPECT_EQ(weights.layer_name(3, "mlp.up_proj", "weight"), "blk.3.ffn_up.weight");
  const MemoryWeights hugging_face(NamingScheme::hugging_face, "GPT2LMHeadModel");
  EXPECT_EQ(WeightLoader(hugging_face, {.layer_prefix = "h."}).layer_name(1, "ln_1", "bias"),
            "h.1.ln_1.bias");
}

TEST(WeightLoader, MatricesStayAsStoredAndVectorsBecomeFloat32) {
  MemoryWeights source(NamingScheme::hugging_face, "LlamaForCausalLM");
  source.add("m", Tensor::zeros({2, 32}, DType::q8_0));
  Tensor half = Tensor::empty({2}, DType::f16);
  half.as_mutable<std::uint16_t>()[0] = f32_to_f16(0.5F);
  half.as_mutable<std::uint16_t>()[1] = f32_to_f16(-3.0F);
  source.add("v", half);
  WeightLoader weights(source, {});
  EXPECT_EQ(weights.matrix("m", 2, 32).dtype(), DType::q8_0);
  const Tensor vector = weights.vector("v", 2);
  EXPECT_EQ(vector.dtype(), DType::f32);
  EXPECT_EQ(vector.as<float>()[0], 0.5F);
  EXPECT_EQ(vector.as<float>()[1], -3.0F);
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(WeightLoader, NamesWhatDoesNotFit) {
  MemoryWeights source(NamingScheme::hugging_face, "LlamaForCausalLM");
  source.add("m", Tensor::zeros({2, 3}));
  source.add("ids", Tensor::zeros({2, 3}, DType::i64));
  source.add("blocks", Tensor::zeros({32}, DType::q8_0));
  WeightLoader weights(source, {});
  EXPECT_THAT(error_of([&] { weights.matrix("m", 3, 2); }),
              HasSubstr("'m' at byte 7: expected shape [3, 2], found [2, 3]"));
  EXPECT_THAT(error_of([&] { weights.matrix("n", 3, 2); }),
              HasSubstr("'n': expected shape [3, 2], found no such tensor"));
  EXPECT_THAT(error_of([&] { weights.matrix("ids", 2, 3); }), HasSubstr("I64"));
  EXPECT_THAT(error_of([&] { weights.vector("blocks", 32); }), HasSubstr("Q8_0"));
  EXPECT_THAT(error_of([&] { (void)weights.dimension_of("blocks", 0); }),
              HasSubstr("expected a matrix, found [32]"));
}

TEST(WeightLoader, CountsTiedEmbeddingsOnceAndHoldsThemOnce) {
  MemoryWeights source(NamingScheme::gguf, "llama");
  source.add("token_embd.weight", Tensor::zeros({5, 4}, DType::f16));
  WeightLoader weights(source, {});
  nn::Embedding embedding(weights.matrix("token_embd.weight", 5, 4));
  const nn::Linear head = weights.output_head(embedding, false, 5, 4);
  EXPECT_EQ(head.weight().raw(), embedding.weight().raw());
  EXPECT_EQ(weights.parameter_count(), 20);
  EXPECT_EQ(weights.parameter_bytes(), 40U);
  weights.expect_all_used();
}

TEST(WeightLoader, AHeadOfItsOwnIsUsedWhenTheFileHasOne) {
  MemoryWeights source(NamingScheme::gguf, "llama");
  source.add("token_embd.weight", Tensor::zeros({5, 4}));
  source.add("output.weight", Tensor::zeros({5, 4}));
  WeightLoader weights(source, {});
  nn::Embedding embedding(weights.matrix("token_embd.weight", 5, 4));
  EXPECT_NE(weights.output_head(embedding, false, 5, 4).weight().raw(), embedding.weight().raw());
  EXPECT_EQ(weights.parameter_count(), 40);
}

TEST(WeightLoader, FindsTensorsThatNobodyTook) {
  MemoryWeights source(NamingScheme::hugging_face, "LlamaForCausalLM");
  source.add("model.norm.weight", Tensor::zeros({4}));
  source.add("model.layers.0.self_attn.rotary_emb.inv_freq", Tensor::zeros({4}));
  source.add("h.0.attn.bias", Tensor::zeros({4}));
  WeightLoader strict(source, {});
  strict.vector("model.norm.weight", 4);
  EXPECT_THAT(error_of([&] { strict.expect_all_used(); }), HasSubstr("h.0.attn.bias"));
  WeightLoader lenient(source, {.ignored_suffixes = {".attn.bias"}});
  lenient.vector("model.norm.weight", 4);
  EXPECT_EQ(error_of([&] { lenient.expect_all_used(); }), "no error");
}

TEST(WeightLoader, BiasesOfGgufAreTakenWhenThere) {
  for (const bool present : {false, true}) {
    MemoryWeights source(NamingScheme::gguf, "llama");
    source.add("blk.0.attn_q.weight", Tensor::zeros({2, 4}));
    if (present) source.add("blk.0.attn_q.bias", Tensor::zeros({2}));
    WeightLoader weights(source, {});
    EXPECT_EQ(weights.linear(0, "self_attn.q_proj", 2, 4, Bias::gguf_only).bias().defined(), present);
  }
  MemoryWeights source(NamingScheme::gguf, "qwen2");
  source.add("blk.0.attn_q.weight", Tensor::zeros({2, 4}));
  WeightLoader weights(source, {});
  EXPECT_THROW(weights.linear(0, "self_attn.q_proj", 2, 4, Bias::required), Error);
}

TEST(WeightLoader, CopiesATensorThatLiesBetweenTheWords) {
  const std::vector<float> values = {1.5F, -2.0F, 3.25F};
  std::string bytes(1 + sizeof(float) * values.size(), '\0');
  std::memcpy(bytes.data() + 1, values.data(), sizeof(float) * values.size());
  const auto owner = std::make_shared<std::string>(bytes);
  const auto storage = Storage::borrow(std::as_bytes(std::span(*owner)), owner);
  MemoryWeights source(NamingScheme::hugging_face, "LlamaForCausalLM");
  source.add("v", Tensor::view(storage, 1, {3}, DType::f32));
  WeightLoader weights(source, {});
  const Tensor vector = weights.vector("v", 3);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(vector.raw()) % alignof(float), 0U);
  EXPECT_THAT(vector.as<float>(), ::testing::ElementsAreArray(values));
}

TEST(Transposed, SwapsRowsAndColumnsOfEachFloatType) {
  const Tensor wide = Tensor::from_values({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const Tensor tall = transposed(wide);
  EXPECT_EQ(tall.shape(), (Shape{3, 2}));
  EXPECT_THAT(tall.as<float>(), ::testing::ElementsAre(1, 4, 2, 5, 3, 6));
  Tensor brain = Tensor::empty({1, 2}, DType::bf16);
  brain.as_mutable<std::uint16_t>()[0] = 7;
  brain.as_mutable<std::uint16_t>()[1] = 9;
  EXPECT_EQ(transposed(brain).dtype(), DType::bf16);
  EXPECT_THAT(transposed(brain).as<std::uint16_t>(), ::testing::ElementsAre(7, 9));
  EXPECT_THROW(transposed(Tensor::zeros({2, 32}, DType::q8_0)), Error);
}

TEST(Widen, IsExactForSixteenBitTypes) {
  Tensor brain = Tensor::empty({2}, DType::bf16);
  brain.as_mutable<std::uint16_t>()[0] = f32_to_bf16(1.5F);
  brain.as_mutable<std::uint16_t>()[1] = f32_to_bf16(-0.0078125F);
  EXPECT_THAT(widen(brain).as<float>(), ::testing::ElementsAre(1.5F, -0.0078125F));
  const Tensor already = Tensor::zeros({2});
  EXPECT_EQ(widen(already).raw(), already.raw());
}

}  // namespace
}  // namespace tessera::models
