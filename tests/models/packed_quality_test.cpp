// Packed kernels round their inputs. What that costs is measured where it counts: the divergence from the
// float model must not grow by more than a twentieth over that of the same weights multiplied in float32.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "engine/model_comparison.h"
#include "engine/quantized_weights.h"
#include "golden_model.h"
#include "support/test_paths.h"

namespace tessera::testing {
namespace {

constexpr double kMostGrowth = 1.05;
// Weights that the file stores in 16 bits lose nothing to F16, and there is nothing to grow. Then a
// ten-millionth of a nat is allowed.
constexpr double kFreeDivergence = 1e-7;

std::vector<TokenId> random_tokens(std::int64_t vocabulary, std::size_t count) {
  std::mt19937 random(11);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens)
    token = static_cast<TokenId>(random() % static_cast<std::uint64_t>(vocabulary));
  return tokens;
}

class PackedQuality : public ::testing::TestWithParam<std::string> {
 protected:
  // Divergence of the model rounded by the recipe, with float32 products and with packed ones.
  static void expect_kept(const std::shared_ptr<const WeightSource>& weights, std::size_t count) {
    const auto source = models::create_model(*weights);
    const auto rounded = engine::quantize_at_load(weights, engine::quantization_recipe(GetParam()));
    const auto exact = models::create_model(*rounded);
    const auto packed = models::create_model(*rounded, {.weight_form = models::WeightForm::packed});
    const std::vector<TokenId> tokens = random_tokens(source->config().vocab_size, count);
    const double before = engine::compare_models(*source, *exact, tokens, 64).mean_divergence;
    const double after = engine::compare_models(*source, *packed, tokens, 64).mean_divergence;
    RecordProperty("divergence", fmt::format("{:.3g} from {:.3g}", after, before));
    EXPECT_LE(after, before > 0 ? kMostGrowth * before : kFreeDivergence) << GetParam();
  }
};

TEST_P(PackedQuality, ATinyModelKeepsItsDivergence) {
  expect_kept(formats::open_model_files((golden_models_dir() / "llama.gguf").string()).weights, 4096);
}

TEST_P(PackedQuality, ATrainedModelKeepsItsDivergence) {
  const auto shared = shared_dir();
  const std::filesystem::path path = shared ? *shared / "models" / "tinystories-656k" : "";
  if (!shared || !std::filesystem::exists(path))
    GTEST_SKIP() << "../shared/models/tinystories-656k is not here";
  expect_kept(formats::open_model_files(path.string()).weights, 1024);
}

INSTANTIATE_TEST_SUITE_P(Types, PackedQuality,
                         ::testing::Values("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16", "BF16"),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace tessera::testing
