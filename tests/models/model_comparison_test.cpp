// Comparison of a quantised model with its source, and quantising while loading.
#include "engine/model_comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "engine/quantize_model.h"
#include "engine/quantized_weights.h"
#include "golden_model.h"
#include "support/test_paths.h"

namespace tessera::testing {
namespace {

std::shared_ptr<const WeightSource> weights_of(const std::filesystem::path& path) {
  return formats::open_model_files(path.string()).weights;
}

const std::filesystem::path& llama() {
  static const std::filesystem::path kPath = golden_models_dir() / "llama.gguf";
  return kPath;
}

TEST(ModelComparison, AModelEqualsItself) {
  const auto model = load_model(llama());
  const Golden golden = read_golden("llama");
  const engine::ModelComparison same = engine::compare_models(*model, *model, golden.tokens, 10);
  // Windows of 10 have 9 positions with a next token within the window.
  const auto whole = static_cast<std::int64_t>(golden.tokens.size() / 10);
  const auto rest = static_cast<std::int64_t>(golden.tokens.size() % 10);
  EXPECT_EQ(same.positions, whole * 9 + std::max<std::int64_t>(rest - 1, 0));
  EXPECT_EQ(same.largest_divergence, 0.0);
  EXPECT_EQ(same.same_top_share, 1.0);
  EXPECT_EQ(same.source_perplexity, same.target_perplexity);
}

// Against the definition, from the oracle's logits: one window, so that each row is one of the golden rows.
TEST(ModelComparison, AgreesWithTheDefinition) {
  const auto source = load_model(llama());
  const auto target = models::create_model(
      *engine::quantize_at_load(weights_of(llama()), engine::quantization_recipe("Q4_0")));
  const Golden golden = read_golden("llama");
  const auto tokens = std::span<const TokenId>(golden.tokens);
  const std::vector<float> p = SequenceRunner(*source).paged(tokens, tokens.size());
  const std::vector<float> q = SequenceRunner(*target).paged(tokens, tokens.size());
  double mean = 0;
  double loss = 0;
  double largest = 0;
  const std::size_t rows = tokens.size() - 1;
  for (std::size_t row = 0; row < rows; ++row) {
    const auto log_probability = [&](const std::vector<float>& logits, std::size_t i) {
      double sum = 0;
      for (std::size_t k = 0; k < golden.vocabulary; ++k)
        sum += std::exp(double{logits[row * golden.vocabulary + k]});
      return double{logits[row * golden.vocabulary + i]} - std::log(sum);
    };
    double divergence = 0;
    for (std::size_t i = 0; i < golden.vocabulary; ++i) {
      divergence += std::exp(log_probability(p, i)) * (log_probability(p, i) - log_probability(q, i));
    }
    mean += divergence / static_cast<double>(rows);
    largest = std::max(largest, divergence);
    loss -= log_probability(q, static_cast<std::size_t>(tokens[row + 1])) / static_cast<double>(rows);
  }
  const engine::ModelComparison found = engine::compare_models(*source, *target, tokens, 64);
  EXPECT_GT(mean, 0.0);
  EXPECT_NEAR(found.mean_divergence, mean, 1e-9 * mean + 1e-12);
  EXPECT_NEAR(found.largest_divergence, largest, 1e-9 * largest);
  EXPECT_NEAR(found.target_perplexity, std::exp(loss), 1e-9 * std::exp(loss));
  EXPECT_LE(found.median_divergence, found.p99_divergence);
  EXPECT_LE(found.p99_divergence, found.largest_divergence);
}

TEST(ModelComparison, FinerTypesDivergeLess) {
  const auto source = load_model(llama());
  const Golden golden = read_golden("llama");
  const auto divergence = [&](std::string_view type) {
    const auto target = models::create_model(
        *engine::quantize_at_load(weights_of(llama()), engine::quantization_recipe(type)));
    return engine::compare_models(*source, *target, golden.tokens).mean_divergence;
  };
  // Each type's step is several times smaller than the one before, and divergence grows with its square.
  EXPECT_LT(divergence("Q8_0"), divergence("Q4_0"));
  EXPECT_LT(divergence("F16"), divergence("Q8_0"));
}

TEST(ModelComparison, RejectsWhatCannotBeCompared) {
  const auto llama_model = load_model(llama());
  const std::vector<TokenId> outside = {1, 2, 9999};
  const std::vector<TokenId> one = {1};
  EXPECT_THROW((void)engine::compare_models(*llama_model, *llama_model, outside), Error);
  EXPECT_THROW((void)engine::compare_models(*llama_model, *llama_model, one), Error);
  EXPECT_THROW((void)engine::compare_models(*llama_model, *llama_model, read_golden("llama").tokens, 1),
               Error);
}

// Quantising at load and loading the quantised file are the same thing.
TEST(QuantizeAtLoad, GivesTheModelThatTheFileGives) {
  TemporaryFolder folder;
  for (const GoldenModel& golden : golden_models()) {
    if (!golden.gguf()) continue;
    const auto recipe = engine::quantization_recipe("Q8_0");
    const std::string target = (folder.path() / "t.gguf").string();
    engine::write_quantized(
        engine::plan_quantization_job(formats::open_model_files(golden.path.string()), recipe), target);
    const auto from_file = load_model(target);
    const auto at_load = models::create_model(*engine::quantize_at_load(weights_of(golden.path), recipe));
    const Golden values = read_golden(golden.name);
    EXPECT_EQ(SequenceRunner(*at_load).paged(values.tokens, 5),
              SequenceRunner(*from_file).paged(values.tokens, 5))
        << golden.name;
  }
}

TEST(QuantizeAtLoad, TakesFoldersAndRefusesWhatItCannotDo) {
  for (const GoldenModel& golden : golden_models()) {
    if (golden.gguf()) continue;
    const auto recipe = engine::quantization_recipe("Q8_0");
    if (golden.name.starts_with("gpt2")) {
      EXPECT_THROW((void)engine::quantize_at_load(weights_of(golden.path), recipe), Error);
      continue;
    }
    const auto plain = load_model(golden.path);
    const auto small = models::create_model(*engine::quantize_at_load(weights_of(golden.path), recipe));
    EXPECT_EQ(small->parameter_count(), plain->parameter_count()) << golden.name;
    EXPECT_LT(small->parameter_bytes(), plain->parameter_bytes()) << golden.name;
  }
}

}  // namespace
}  // namespace tessera::testing
