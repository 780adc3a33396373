// Every architecture against PyTorch, on tiny random models: see tools/make_golden_models.py.
#include "golden_model.h"

#include <gtest/gtest.h>

#include <set>

#include "base/thread_pool.h"

namespace tessera::testing {
namespace {

// The bound that float32 must keep. Its terms: both sides sum at most n = 64 products in float32 in different
// orders, each sum off by at most n·2^-24 = 4e-6 of its size, and some twenty sums follow each other.
constexpr double kFloat32Tolerance = 1e-4;

// Weights of these dtypes are the oracle's exactly; a kernel may round the activations that meet them, once
// for each matrix on the longest path through the model: q or v, o, gate, down in each of 2 layers, and the
// head. Rounding to half a step each time adds at most (9 matrices) · (half a step).
double tolerance_of(const std::string& name) {
  constexpr double kMatrices = 9.0;
  if (name == "llama_bf16") return kFloat32Tolerance + kMatrices * 0x1p-9;              // bfloat16: 8 bits
  if (name == "llama_f16") return kFloat32Tolerance + kMatrices * 0x1p-12;              // binary16: 11 bits
  if (name.starts_with("llama_q")) return kFloat32Tolerance + kMatrices / (2.0 * 127);  // 8-bit blocks
  return kFloat32Tolerance;
}

// Only phi3_long runs beyond its trained context, which longrope must be told.
std::int64_t context_of(const std::string& name) { return name == "phi3_long" ? 128 : 0; }

class GoldenModels : public ::testing::TestWithParam<GoldenModel> {
 protected:
  void SetUp() override {
    golden_ = read_golden(GetParam().name);
    model_ = load_model(GetParam().path, context_of(GetParam().name));
    runner_ = std::make_unique<SequenceRunner>(*model_);
  }
  double off_by(std::span<const float> logits) const { return relative_difference(logits, golden_.logits); }
  double tolerance() const { return tolerance_of(GetParam().name); }

  Golden golden_;
  std::unique_ptr<models::Model> model_;
  std::unique_ptr<SequenceRunner> runner_;
};

TEST_P(GoldenModels, PrefillAgreesWithTheOracle) {
  EXPECT_LE(off_by(runner_->paged(golden_.tokens, golden_.tokens.size())), tolerance());
}

TEST_P(GoldenModels, AttentionWithoutACacheAgreesWithTheOracle) {
  EXPECT_LE(off_by(runner_->dense(golden_.tokens)), tolerance());
}

TEST_P(GoldenModels, DecodeAgreesWithTheOracleAndTakesItsGreedyTokens) {
  const std::vector<float> logits = runner_->paged(golden_.tokens, 1);
  EXPECT_LE(off_by(logits), tolerance());
  if (tolerance() > kFloat32Tolerance)
    return;  // the oracle's choices lead by more than float32's error, no more
  for (std::size_t t = golden_.prompt; t < golden_.tokens.size(); ++t) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>((t - 1) * golden_.vocabulary);
    const auto best = std::max_element(row, row + static_cast<std::ptrdiff_t>(golden_.vocabulary));
    EXPECT_EQ(best - row, golden_.tokens[t]) << "token " << t;
  }
}

// What a token's logits are must not depend on how the tokens before it came in: not by a bit.
TEST_P(GoldenModels, PrefillDecodeAndChunksAreBitIdentical) {
  const std::vector<float> whole = runner_->paged(golden_.tokens, golden_.tokens.size());
  for (const std::size_t chunk : {1U, 2U, 5U, 16U}) {
    EXPECT_EQ(runner_->paged(golden_.tokens, chunk), whole) << "chunks of " << chunk;
  }
}

TEST_P(GoldenModels, OneAndTwoThreadsAreBitIdentical) {
  const int before = thread_pool().size();
  set_thread_count(1);
  const std::vector<float> alone = runner_->paged(golden_.tokens, 7);
  set_thread_count(2);
  const std::vector<float> together = runner_->paged(golden_.tokens, 7);
  set_thread_count(before);
  EXPECT_EQ(alone, together);
}

TEST_P(GoldenModels, ASequenceDoesNotSeeItsNeighbours) {
  const std::vector<TokenId> shorter(golden_.tokens.rbegin(), golden_.tokens.rbegin() + 11);
  const auto both = runner_->paged({golden_.tokens, shorter}, 6);
  EXPECT_EQ(both[0], runner_->paged(golden_.tokens, 6));
  EXPECT_EQ(both[1], runner_->paged(shorter, 6));
}

// Parameters: what the file holds, tied embeddings counted once, buffers and rope factors not at all.
TEST_P(GoldenModels, CountsItsParametersOnce) {
  const auto files = formats::open_model_files(GetParam().path.string());
  std::int64_t stored = 0;
  for (const TensorInfo& info : files.weights->tensors()) {
    const bool parameter = !info.name.starts_with("rope_") && !info.name.ends_with(".attn.bias");
    if (parameter) stored += info.shape.elements();
  }
  EXPECT_EQ(model_->parameter_count(), stored);
  EXPECT_EQ(model_->config().layers.size(), static_cast<std::size_t>(model_->config().num_hidden_layers));
}

std::string case_name(const ::testing::TestParamInfo<GoldenModel>& info) {
  return info.param.name + (info.param.gguf() ? "_gguf" : "");
}
INSTANTIATE_TEST_SUITE_P(All, GoldenModels, ::testing::ValuesIn(golden_models()), case_name);

// A new architecture without golden values fails here, under each naming scheme it claims.
TEST(GoldenCoverage, EveryRegisteredArchitectureHasGoldenValues) {
  std::set<std::string> proven;
  for (const GoldenModel& golden : golden_models()) {
    proven.insert(std::string(formats::open_model_files(golden.path.string()).weights->architecture()));
  }
  ASSERT_FALSE(models::registered_architectures().empty());
  for (const models::ArchitectureNames& names : models::registered_architectures()) {
    for (const std::string& name : names.hugging_face) EXPECT_TRUE(proven.contains(name)) << name;
    for (const std::string& name : names.gguf) EXPECT_TRUE(proven.contains(name)) << name;
  }
}

}  // namespace
}  // namespace tessera::testing
