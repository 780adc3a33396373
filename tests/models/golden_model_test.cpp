// Every architecture against PyTorch, on tiny random models: see tools/make_golden_models.py.
#include "golden_model.h"

#include <gtest/gtest.h>

#include <set>

#include "base/cpu_features.h"
#include "base/thread_pool.h"
#include "support/run_command.h"

namespace tessera::testing {
namespace {

// The bound that float32 must keep, whatever the dtype of the weights: the oracle has exactly the weights
// that are stored, and activations stay float32. Its terms: both sides sum at most n = 64 products in float32
// in different orders, each sum off by at most n * 2^-24 = 4e-6 of its size, and some twenty sums follow each
// other.
constexpr double kTolerance = 1e-4;

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

  Golden golden_;
  std::unique_ptr<models::Model> model_;
  std::unique_ptr<SequenceRunner> runner_;
};

TEST_P(GoldenModels, PrefillAgreesWithTheOracle) {
  EXPECT_LE(off_by(runner_->paged(golden_.tokens, golden_.tokens.size())), kTolerance);
}

TEST_P(GoldenModels, AttentionWithoutACacheAgreesWithTheOracle) {
  EXPECT_LE(off_by(runner_->dense(golden_.tokens)), kTolerance);
}

TEST_P(GoldenModels, DecodeAgreesWithTheOracleAndTakesItsGreedyTokens) {
  const std::vector<float> logits = runner_->paged(golden_.tokens, 1);
  EXPECT_LE(off_by(logits), kTolerance);
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

// The tests above once more under every instruction set this CPU has, each in a process of its own (the
// choice is made once a process). Each is within kTolerance of the oracle, hence any two within twice that of
// each other.
TEST(GoldenIsas, EveryInstructionSetAgreesWithTheOracle) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  for (const Isa isa : available_isas()) {
    CommandOptions options;
    options.environment = {{"TESSERA_ISA", std::string(isa_name(isa))}};
    const CommandResult result = run_command({self, "--gtest_filter=All/GoldenModels.*Oracle*"}, options);
    EXPECT_EQ(result.exit_code, 0) << isa_name(isa) << result.output;
    EXPECT_NE(result.output.find("[  PASSED  ]"), std::string::npos) << isa_name(isa);
  }
}

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
