// What the type of the key/value cache costs in quality: the divergence of the next-token distributions from
// those on a float32 cache, on the default model and a text of this repository.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

#include "engine/model_loader.h"
#include "engine/model_runner.h"
#include "support/test_paths.h"

namespace tessera::testing {
namespace {

constexpr std::int64_t kChunk = 128;
constexpr std::size_t kTokens = 256;

class Side {
 public:
  Side(const models::Model& model, std::int64_t tokens, DType key_dtype, DType value_dtype)
      : cache_(model.config().layers, {.tokens = tokens, .key_dtype = key_dtype, .value_dtype = value_dtype}),
        runner_(model, cache_),
        sequence_(cache_.block_manager()) {}

  // Logits of each of `tokens`, which follow those of the calls before.
  Tensor run(std::span<const TokenId> tokens) {
    for (const TokenId token : tokens) sequence_.append(token);
    const auto count = static_cast<std::int64_t>(tokens.size());
    const engine::SequenceStep step{&sequence_, count, count};
    return runner_.run({&step, 1});
  }

 private:
  engine::KeyValueCache cache_;
  engine::ModelRunner runner_;
  engine::Sequence sequence_;
};

double log_sum(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

// sum p log(p / q), nats.
double divergence(std::span<const float> p, std::span<const float> q) {
  const double log_p = log_sum(p);
  const double log_q = log_sum(q);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    sum += std::exp(p[i] - log_p) * ((p[i] - log_p) - (q[i] - log_q));
  }
  return sum;
}

std::vector<TokenId> text_of(const engine::LoadedModel& loaded, std::size_t count) {
  std::ifstream file(source_dir() / "ARCHITECTURE.md");
  std::stringstream text;
  text << file.rdbuf();
  std::vector<TokenId> tokens = loaded.tokenizer->encode(text.str());
  tokens.resize(std::min(tokens.size(), count));
  return tokens;
}

// Logits of every token, in chunks.
std::vector<Tensor> logits_of(const models::Model& model, std::span<const TokenId> tokens, DType key_dtype,
                              DType value_dtype) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  Side side(model, count, key_dtype, value_dtype);
  std::vector<Tensor> logits;
  for (std::int64_t begin = 0; begin < count; begin += kChunk) {
    logits.push_back(side.run(tokens.subspan(static_cast<std::size_t>(begin),
                                             static_cast<std::size_t>(std::min(kChunk, count - begin)))));
  }
  return logits;
}

double mean_divergence(const std::vector<Tensor>& exact, const std::vector<Tensor>& rounded) {
  double sum = 0;
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    for (std::int64_t row = 0; row < exact[i].dim(0); ++row, ++rows) {
      sum += divergence(exact[i].rows(row, row + 1).as<float>(), rounded[i].rows(row, row + 1).as<float>());
    }
  }
  return sum / static_cast<double>(rows);
}

// Measured on 1024 tokens of this text: f16 5.3e-7, bf16 3.6e-5, q8_0 6.1e-4 nats, 5.7e-4 of them from the
// keys; the bounds leave room for the text to change.
TEST(CacheQuality, RoundedKeysAndValuesHardlyMoveTheDefaultModel) {
  const auto path = default_model();
  if (!path) GTEST_SKIP() << "the default model has not been fetched (./quickstart does)";
  const engine::LoadedModel loaded = engine::load_model(path->string());
  const char* wanted = std::getenv("TESSERA_CACHE_QUALITY_TOKENS");
  const std::vector<TokenId> tokens =
      text_of(loaded, wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : kTokens);
  ASSERT_GE(tokens.size(), kTokens);
  const std::vector<Tensor> exact = logits_of(*loaded.model, tokens, DType::f32, DType::f32);
  const auto divergence_of = [&](DType keys, DType values) {
    const double mean = mean_divergence(exact, logits_of(*loaded.model, tokens, keys, values));
    if (wanted != nullptr) fmt::print("{}/{}: {:.3e} nats\n", name(keys), name(values), mean);
    return mean;
  };
  EXPECT_LT(divergence_of(DType::f16, DType::f16), 3e-6);
  EXPECT_LT(divergence_of(DType::bf16, DType::bf16), 2e-4);
  EXPECT_LT(divergence_of(DType::q8_0, DType::q8_0), 3e-3);
}

}  // namespace
}  // namespace tessera::testing
