// Every architecture against PyTorch, on tiny random models: see tools/make_golden_models.py.
#include "golden_model.h"

#include <gtest/gtest.h>

#include <set>

#include "base/cpu_features.h"
#include "base/thread_pool.h"
#include "engine/model_runner.h"
#include "kernels/kernel_table.h"
#include "support/run_command.h"

namespace tessera::testing {
namespace {

// The bound that float32 must keep, whatever the dtype of the weights: the oracle has exactly the weights
// that are stored, and activations stay float32. Its terms: both sides sum at most n = 64 products in float32
// in different orders, each sum off by at most n * 2^-24 = 4e-6 of its size, and some twenty sums follow each
// other.
constexpr double kFloatTolerance = 1e-4;

// Packed block-quantised weights are multiplied with inputs that were rounded to `steps` steps either side of
// zero, block by block. An element is off by half a step at most, evenly spread: 1 / (steps sqrt(12)) of the
// largest of its block in the mean, which is at most sqrt(32) times the block's root mean square; so is then
// the product, relatively. Nine products follow each other on the longest path (q, k or v, o, gate or up,
// down in each of two layers, and the head), and independent errors add as squares: sqrt(9). Norms and the
// softmax may double it.
double rounding_tolerance(double steps) {
  return kFloatTolerance + 2.0 * std::sqrt(9.0) * std::sqrt(32.0) / (steps * std::sqrt(12.0));
}

// Words (kernels/packed_layout.h) have a step of at most 1 / 32767 of the norm of a block of inputs, and of
// 1 / 16384 of that of a block of weights.
double word_tolerance() { return rounding_tolerance(1 / std::hypot(1.0 / 32767, 1.0 / 16384)); }

double tolerance_of(const std::string& name, models::WeightForm form) {
  if (form == models::WeightForm::stored) return kFloatTolerance;
  const bool half = name.find("_f16") != name.npos || name.find("_bf16") != name.npos;
  const auto& kernels = kernels::active().packed[static_cast<std::size_t>(DType::f16)];
  if (half && kernels.input == kernels::InputForm::words) return word_tolerance();
  const bool rounded = name.find("_q4_") != name.npos || name.find("_q8_") != name.npos;
  return rounded ? rounding_tolerance(127 * 128) : kFloatTolerance;
}

// Only phi3_long runs beyond its trained context, which longrope must be told.
std::int64_t context_of(const std::string& name) { return name == "phi3_long" ? 128 : 0; }

struct GoldenCase {
  GoldenModel model;
  models::WeightForm form = models::WeightForm::stored;
};

std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases;
  for (const GoldenModel& model : golden_models()) {
    cases.push_back({model, models::WeightForm::stored});
    cases.push_back({model, models::WeightForm::packed});
  }
  return cases;
}

class GoldenModels : public ::testing::TestWithParam<GoldenCase> {
 protected:
  void SetUp() override {
    const GoldenModel& golden = GetParam().model;
    golden_ = read_golden(golden.name);
    model_ = load_model(golden.path, context_of(golden.name), GetParam().form);
    tolerance_ = tolerance_of(golden.name, GetParam().form);
    runner_ = std::make_unique<SequenceRunner>(*model_);
  }
  double off_by(std::span<const float> logits) const { return relative_difference(logits, golden_.logits); }
  double largest_logit() const {
    double largest = 0;
    for (const float logit : golden_.logits) largest = std::max(largest, std::abs(double{logit}));
    return largest;
  }

  Golden golden_;
  double tolerance_ = 0;
  std::unique_ptr<models::Model> model_;
  std::unique_ptr<SequenceRunner> runner_;
};

TEST_P(GoldenModels, PrefillAgreesWithTheOracle) {
  EXPECT_LE(off_by(runner_->paged(golden_.tokens, golden_.tokens.size())), tolerance_);
}

TEST_P(GoldenModels, AttentionWithoutACacheAgreesWithTheOracle) {
  EXPECT_LE(off_by(runner_->dense(golden_.tokens)), tolerance_);
}

TEST_P(GoldenModels, DecodeAgreesWithTheOracleAndTakesItsGreedyTokens) {
  const std::vector<float> logits = runner_->paged(golden_.tokens, 1);
  EXPECT_LE(off_by(logits), tolerance_);
  for (std::size_t t = golden_.prompt; t < golden_.tokens.size(); ++t) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>((t - 1) * golden_.vocabulary);
    const auto best = std::max_element(row, row + static_cast<std::ptrdiff_t>(golden_.vocabulary));
    // The oracle's token, or one that the tolerance cannot tell from it.
    const float lead = *best - row[golden_.tokens[t]];
    EXPECT_LE(lead, tolerance_ > kFloatTolerance ? 2 * tolerance_ * largest_logit() : 0.0) << "token " << t;
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

// The engine asks for the rows it samples from, of a prompt's last chunk alone, and models leave out what
// only the others would need.
TEST_P(GoldenModels, RowsAloneHaveTheBitsTheyHaveAmongAll) {
  const auto count = static_cast<std::int64_t>(golden_.tokens.size());
  engine::KeyValueCache cache(model_->config().layers,
                              {.tokens = 4 * count + 64, .key_dtype = DType::f32, .value_dtype = DType::f32});
  engine::ModelRunner runner(*model_, cache);
  std::vector<engine::Sequence> sequences;
  for (int i = 0; i < 3; ++i) {
    sequences.emplace_back(cache.block_manager());
    for (const TokenId token : golden_.tokens) sequences.back().append(token);
  }
  const auto run = [&](std::span<const engine::SequenceStep> steps) {
    const Tensor logits = runner.run(steps);
    const auto values = logits.defined() ? logits.as<float>() : std::span<const float>();
    return std::vector<float>(values.begin(), values.end());
  };
  const engine::SequenceStep whole[] = {{&sequences[0], count, count}};
  const std::vector<float> all = run(whole);
  const engine::SequenceStep silent[] = {{&sequences[1], count / 3, 0}};
  EXPECT_TRUE(run(silent).empty());
  const engine::SequenceStep mixed[] = {{&sequences[2], count - 1, 0}, {&sequences[1], count - count / 3, 2}};
  const auto row = [&](std::int64_t rows) {  // the last `rows` of the whole
    return std::vector<float>(all.end() - rows * static_cast<std::int64_t>(golden_.vocabulary), all.end());
  };
  EXPECT_EQ(run(mixed), row(2));
  const engine::SequenceStep last[] = {{&sequences[2], 1, 1}};
  EXPECT_EQ(run(last), row(1));
}

// Parameters: what the file holds, tied embeddings counted once, buffers and rope factors not at all.
TEST_P(GoldenModels, CountsItsParametersOnce) {
  const auto files = formats::open_model_files(GetParam().model.path.string());
  std::int64_t stored = 0;
  for (const TensorInfo& info : files.weights->tensors()) {
    const bool parameter = !info.name.starts_with("rope_") && !info.name.ends_with(".attn.bias");
    if (parameter) stored += info.shape.elements();
  }
  EXPECT_EQ(model_->parameter_count(), stored);
  EXPECT_EQ(model_->config().layers.size(), static_cast<std::size_t>(model_->config().num_hidden_layers));
}

std::string case_name(const ::testing::TestParamInfo<GoldenCase>& info) {
  const GoldenCase& parameter = info.param;
  return parameter.model.name + (parameter.model.gguf() ? "_gguf" : "") +
         (parameter.form == models::WeightForm::packed ? "_packed" : "");
}
INSTANTIATE_TEST_SUITE_P(All, GoldenModels, ::testing::ValuesIn(golden_cases()), case_name);

// The tests above once more under every instruction set this CPU has, each in a process of its own (the
// choice is made once a process). Each is within the tolerance of the oracle, hence any two within twice that
// of each other.
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
    // Our own, which no other converter writes: gguf_export_test.cpp writes it from the golden folder and
    // holds it to the same golden logits.
    if (names.name == "plain_transformer") continue;
    for (const std::string& name : names.gguf) EXPECT_TRUE(proven.contains(name)) << name;
  }
}

}  // namespace
}  // namespace tessera::testing
