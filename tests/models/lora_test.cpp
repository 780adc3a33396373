// Adapters that PEFT wrote, beside every architecture: logits and gradients against PEFT's
// (tools/make_golden_lora.py), under both naming schemes; what is written again, merged, mixed in one batch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>

#include "autograd/tape.h"
#include "engine/merged_weights.h"
#include "formats/peft_adapter.h"
#include "formats/safetensors.h"
#include "golden_model.h"
#include "models/lora.h"
#include "nn/attention/flash_attention.h"
#include "ops/cross_entropy.h"
#include "support/error_of.h"
#include "support/run_command.h"

namespace tessera::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Values = std::map<std::string, std::vector<float>>;

fs::path lora_dir() { return golden_dir() / "lora"; }

Values read_values(const fs::path& path) {
  const auto file = MappedFile::open(path.string());
  Values values;
  for (const formats::FoundTensor& found : formats::read_safetensors_header(*file).tensors) {
    std::vector<float>& target = values[found.info.name];
    target.resize(found.info.bytes / sizeof(float));
    std::memcpy(target.data(), file->bytes().data() + found.info.offset, found.info.bytes);
  }
  return values;
}

LoraAdapter read_adapter(const std::string& name) {
  return formats::read_peft_adapter((lora_dir() / name).string()).adapter;
}

std::vector<GoldenModel> adapted_models() {
  std::vector<GoldenModel> found;
  for (const GoldenModel& model : golden_models()) {
    if (fs::exists(lora_dir() / model.name)) found.push_back(model);
  }
  return found;
}

// As GoldenModels: some twenty sums of at most 64 products follow each other; an adapter adds two sums of at
// most 32 and 4 products to seven of them.
constexpr double kFloatTolerance = 1e-4;

class Lora : public ::testing::TestWithParam<GoldenModel> {
 protected:
  void load(models::WeightForm form = models::WeightForm::stored) {
    golden_ = read_golden(GetParam().name);
    model_ = load_model(GetParam().path, 0, form);
  }
  std::vector<float> logits(nn::LoraId id) {
    const nn::LoraScope scope(id);
    return SequenceRunner(*model_).paged(golden_.tokens, golden_.tokens.size());
  }
  const std::string& name() const { return GetParam().name; }

  Golden golden_;
  std::unique_ptr<models::Model> model_;
};

TEST_P(Lora, LogitsAgreeWithPeft) {
  for (const models::WeightForm form : {models::WeightForm::stored, models::WeightForm::packed}) {
    load(form);
    const std::vector<float> before = logits(nn::kNoLora);
    models::add_lora(*model_, 0, read_adapter(name()));
    const Values expected = read_values(lora_dir() / (name() + ".safetensors"));
    EXPECT_LE(relative_difference(logits(0), expected.at("logits")), kFloatTolerance);
    EXPECT_GT(relative_difference(before, expected.at("logits")), 100 * kFloatTolerance);
    EXPECT_EQ(logits(nn::kNoLora), before);
  }
}

TEST_P(Lora, TokenByTokenGivesTheBitsOfThePrefill) {
  load(models::WeightForm::packed);
  models::add_lora(*model_, 0, read_adapter(name()));
  const nn::LoraScope scope(nn::LoraId{0});
  const std::vector<float> whole = SequenceRunner(*model_).paged(golden_.tokens, golden_.tokens.size());
  EXPECT_EQ(SequenceRunner(*model_).paged(golden_.tokens, 1), whole);
  EXPECT_EQ(SequenceRunner(*model_).paged(golden_.tokens, 5), whole);
}

TEST_P(Lora, AFreshAdapterChangesNoBit) {
  load();
  const std::vector<float> before = logits(nn::kNoLora);
  models::make_lora(*model_, 0, {.r = 5, .alpha = 7}, 3);
  EXPECT_EQ(logits(0), before);
}

// The tolerance is that of GoldenGradients; the sums are as long and as many.
TEST_P(Lora, GradientsAgreeWithPeftAndReachNothingElse) {
  load(models::WeightForm::trainable);
  models::add_lora(*model_, 0, read_adapter(name()));
  const std::vector<models::Parameter> parameters = models::lora_parameters(*model_, 0);
  const auto half = static_cast<std::int32_t>(golden_.tokens.size() / 2);
  const std::vector<std::int32_t> query_start{0, half, 2 * half};
  const std::vector<std::int32_t> context_length{half, half};
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> targets;
  for (std::int32_t t = 0; t < 2 * half; ++t) {
    positions.push_back(t % half);
    targets.push_back(t % half == half - 1 ? ops::kIgnoredTarget
                                           : golden_.tokens[static_cast<std::size_t>(t) + 1]);
  }
  autograd::Tape tape;
  for (const models::Parameter& parameter : parameters) tape.watch(parameter.tensor);
  const autograd::RecordingScope recording(tape);
  const nn::LoraScope scope(nn::LoraId{0});
  nn::FlashAttention attention;
  const Tensor hidden = model_->forward({.tokens = golden_.tokens,
                                         .positions = positions,
                                         .query_start = query_start,
                                         .context_length = context_length,
                                         .slot_mapping = {},
                                         .block_tables = {}},
                                        attention);
  const models::OutputHead head = model_->output_head();
  const Tensor loss =
      ops::linear_cross_entropy(hidden, head.weight, targets, {.logit_softcap = head.logit_softcap});
  const Values expected = read_values(lora_dir() / (name() + ".safetensors"));
  EXPECT_NEAR(loss.as<float>()[0], expected.at("loss")[0], 1e-4 * expected.at("loss")[0]);
  tape.backward(loss);
  for (const models::Parameter& parameter : model_->parameters()) {
    EXPECT_FALSE(tape.has_gradient(parameter.tensor)) << parameter.name;
  }
  const bool permuted = GetParam().gguf();
  std::size_t compared = 0;
  for (const models::Parameter& parameter : parameters) {
    ASSERT_TRUE(expected.contains(parameter.name)) << parameter.name;
    // GGUF keeps the rows of q and k, and so of their B, in another order.
    const bool moved = permuted && parameter.name.find("lora_B") != std::string::npos &&
                       (parameter.name.find("q_proj") != std::string::npos ||
                        parameter.name.find("k_proj") != std::string::npos);
    if (moved) continue;
    const Tensor gradient = tape.gradient(parameter.tensor);
    const auto& values = expected.at(parameter.name);
    double largest = 0;
    for (const float value : values) largest = std::max(largest, std::abs(double{value}));
    double whole = 0;
    for (const auto& [other, others] : expected) {
      if (other == "loss" || other == "logits") continue;
      for (const float value : others) whole = std::max(whole, std::abs(double{value}));
    }
    EXPECT_LE(relative_difference(gradient.as<float>(), values) * largest,
              1.5e-4 * std::max(largest, 1e-2 * whole))
        << parameter.name;
    ++compared;
  }
  EXPECT_GT(compared, 0U);
}

TEST_P(Lora, IsWrittenAsItWasRead) {
  load();
  const formats::PeftAdapter read = formats::read_peft_adapter((lora_dir() / name()).string());
  models::add_lora(*model_, 0, read.adapter);
  const TemporaryFolder folder;
  formats::write_peft_adapter(folder.path().string(), {read.config, models::lora_adapter(*model_, 0)});
  EXPECT_EQ(read_values(folder.path() / "adapter_model.safetensors"),
            read_values(lora_dir() / name() / "adapter_model.safetensors"));
}

TEST_P(Lora, MergedWeightsComputeTheSame) {
  load();
  models::add_lora(*model_, 0, read_adapter(name()));
  const std::vector<float> unmerged = logits(0);
  const auto merged = engine::merge_lora(formats::open_model_files(GetParam().path.string()).weights,
                                         read_adapter(name()), DType::f32);
  model_ = models::create_model(*merged.weights);
  EXPECT_LE(relative_difference(logits(nn::kNoLora), unmerged), kFloatTolerance);
}

// Each sequence of a batch has an adapter of its own, or none: its logits are bit for bit those it has alone.
TEST_P(Lora, RowsOfOneBatchTakeAdaptersOfTheirOwn) {
  load(models::WeightForm::packed);
  models::add_lora(*model_, 0, read_adapter(name()));
  LoraAdapter other = read_adapter(name());
  for (LoraModule& module : other.modules) module.scale *= -0.5;
  other.modules.resize((other.modules.size() + 1) / 2);
  models::add_lora(*model_, 1, other);
  const std::vector<nn::LoraId> ids{0, nn::kNoLora, 1, 0};
  std::vector<std::vector<float>> alone;
  for (const nn::LoraId id : ids) alone.push_back(logits(id));
  EXPECT_NE(alone[0], alone[1]);
  EXPECT_NE(alone[0], alone[2]);
  EXPECT_NE(alone[1], alone[2]);
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{4}}) {
    ASSERT_EQ(golden_.tokens.size() % chunk, 0U);
    const std::vector<std::vector<TokenId>> sequences(ids.size(), golden_.tokens);
    std::vector<nn::LoraId> rows;  // sequences lie one after another in every call
    for (const nn::LoraId id : ids) rows.insert(rows.end(), chunk, id);
    const nn::LoraScope scope(rows);
    EXPECT_EQ(SequenceRunner(*model_).paged(sequences, chunk), alone) << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Lora, ::testing::ValuesIn(adapted_models()), [](const auto& model) {
  return model.param.name + (model.param.gguf() ? "_gguf" : "");
});

TEST(LoraGoldens, CoverEveryRegisteredArchitecture) {
  std::set<std::string> covered{"plain_transformer"};  // Hugging Face has no class of it, so PEFT neither
  for (const GoldenModel& model : adapted_models()) {
    covered.insert(load_model(model.path)->config().architecture);
  }
  for (const models::ArchitectureNames& names : models::registered_architectures()) {
    EXPECT_TRUE(covered.contains(names.name)) << names.name;
  }
}

class LoraErrors : public ::testing::Test {
 protected:
  std::unique_ptr<models::Model> model_ = load_model(golden_models_dir() / "llama");
  LoraAdapter adapter_ = read_adapter("llama");
  std::string error() {
    return error_of([&] { models::add_lora(*model_, 0, adapter_); });
  }
};

TEST_F(LoraErrors, NameTheModuleAndWhatThereIs) {
  adapter_.modules.front().module = "model.layers.9.self_attn.q_proj";
  EXPECT_THAT(error(), HasSubstr("found 'model.layers.9.self_attn.q_proj'"));
  EXPECT_THAT(error(), HasSubstr("q_proj, k_proj"));
  EXPECT_THAT(error(), HasSubstr("2 layers"));
}

TEST_F(LoraErrors, NameTheShapes) {
  adapter_.modules.front().a = Tensor::zeros({4, 31});
  EXPECT_THAT(error(), HasSubstr("[4, 31]"));
  EXPECT_THAT(error(), HasSubstr("another model"));
}

TEST_F(LoraErrors, RefuseWhatIsNotFinite) {
  adapter_.modules.back().b = Tensor::zeros(adapter_.modules.back().b.shape());
  adapter_.modules.back().b.as_mutable<float>()[1] = NAN;
  EXPECT_THAT(error(), HasSubstr("finite"));
}

TEST_F(LoraErrors, ComeBeforeAnythingIsChanged) {
  adapter_.modules.back().module = "nonsense";
  EXPECT_NE(error(), "");
  EXPECT_TRUE(models::lora_parameters(*model_, 0).empty());
}

TEST_F(LoraErrors, OfTargetsThatNameNoLayer) {
  EXPECT_THAT(error_of([&] { models::make_lora(*model_, 0, {.target_modules = {"q_proj", "proj"}}, 1); }),
              HasSubstr("found 'proj'"));
  EXPECT_THAT(error_of([&] { models::make_lora(*model_, 0, {.r = 0}, 1); }), HasSubstr("lora-r"));
}

}  // namespace
}  // namespace tessera::testing
