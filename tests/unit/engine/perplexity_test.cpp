#include "engine/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/test_paths.h"
#include "toy_text.h"

namespace tessera::engine {
namespace {

std::shared_ptr<LoadedModel> golden_llama() {
  const std::string path = (tessera::testing::golden_dir() / "models" / "llama").string();
  const formats::ModelFiles files = formats::open_model_files(path);
  auto loaded = testing::loaded_with(models::create_model(*files.weights));
  loaded->files = files;
  return loaded;
}

TEST(Perplexity, EqualsTransformersOnStridedWindows) {
  std::ifstream file(tessera::testing::golden_dir() / "perplexity" / "llama.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  const auto tokens = golden["tokens"].get<std::vector<TokenId>>();
  Generator generator(golden_llama(), {.cache_key_dtype = DType::f32, .cache_value_dtype = DType::f32});
  ASSERT_GE(golden["cases"].size(), 5U);
  for (const auto& item : golden["cases"]) {
    SCOPED_TRACE(item.dump());
    std::int64_t windows = 0;
    const PerplexityOptions options{.window = item["window"], .stride = item["stride"]};
    const PerplexityProgress result = measure_perplexity(
        generator, tokens, options,
        [&](const PerplexityProgress& progress) { EXPECT_EQ(progress.windows_done, ++windows); });
    EXPECT_EQ(result.windows, windows);
    EXPECT_EQ(result.tokens_scored, item["tokens_scored"].get<std::int64_t>());
    // Logits agree within 1e-4 of the largest one (the bound that every golden model meets), which is below
    // 10 here: each log likelihood within 2e-3, their mean too, and the perplexity by that share.
    const double expected = item["perplexity"];
    EXPECT_NEAR(result.perplexity, expected, 2e-3 * expected);
    EXPECT_NEAR(result.standard_error, item["standard_error"].get<double>(), 2e-3 * expected);
  }
}

TEST(Perplexity, LogLikelihoodIsThatOfTheSoftmax) {
  EXPECT_NEAR(log_likelihood(std::vector<float>{0, 0, 0, 0}, 2), -std::log(4.0), 1e-12);
  EXPECT_NEAR(log_likelihood(std::vector<float>{1000, 0}, 1), -1000.0, 1e-9);
  EXPECT_NEAR(log_likelihood(std::vector<float>{1000, 0}, 0), 0.0, 1e-12);
}

TEST(Perplexity, BadWindowsAndTextsAreNamed) {
  Generator generator(testing::loaded_with(std::make_shared<testing::ToyModel>(300, 64)), {});
  const std::vector<TokenId> tokens(40, 7);
  EXPECT_THROW(measure_perplexity(generator, tokens, {.window = 1, .stride = 1}), Error);
  EXPECT_THROW(measure_perplexity(generator, tokens, {.window = 65, .stride = 8}), Error);
  EXPECT_THROW(measure_perplexity(generator, tokens, {.window = 16, .stride = 0}), Error);
  EXPECT_THROW(measure_perplexity(generator, tokens, {.window = 16, .stride = 16}), Error);
  EXPECT_THROW(measure_perplexity(generator, std::span(tokens).first(1), {.window = 16, .stride = 8}), Error);
  const CancelFlag cancel{true};
  EXPECT_THROW(measure_perplexity(generator, tokens, {.window = 16, .stride = 8}, {}, &cancel), Error);
}

}  // namespace
}  // namespace tessera::engine
