// Requests with adapters of their own in one batch: each gets the text that it gets alone, and the cache
// keeps adapters apart.
#include "engine/lora_adapters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "engine/engine.h"
#include "engine/generator.h"
#include "formats/open_model_files.h"
#include "formats/peft_adapter.h"
#include "models/lora.h"
#include "support/error_of.h"
#include "support/test_paths.h"
#include "toy_text.h"

namespace tessera::engine {
namespace {

using tessera::testing::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A tiny Llama of random weights whose tokens are bytes, with two adapters that change it much.
class LoraAdapters : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = tessera::testing::golden_dir() / "models" / "llama";
    source_ = formats::open_model_files(path.string()).weights;
    auto loaded =
        testing::loaded_with(models::create_model(*source_, {.weight_form = models::WeightForm::packed}));
    write_adapter("first", 1.0F);
    write_adapter("second", -2.0F);
    load_lora_adapters(*loaded,
                       lora_files(std::vector<std::string>{path_of("first"), "2nd=" + path_of("second")}));
    loaded_ = loaded;
  }
  std::string path_of(const std::string& name) const { return (folder_.path() / name).string(); }

  // PEFT's own adapter, its B so many times as large.
  void write_adapter(const std::string& name, float factor) {
    formats::PeftAdapter adapter =
        formats::read_peft_adapter((tessera::testing::golden_dir() / "lora" / "llama").string());
    for (LoraModule& module : adapter.adapter.modules) {
      for (float& value : module.b.as_mutable<float>()) value *= factor;
    }
    std::filesystem::create_directories(path_of(name));
    formats::write_peft_adapter(path_of(name), adapter);
  }
  EngineRequest request(nn::LoraId lora, std::uint64_t seed) const {
    EngineRequest asked;
    for (TokenId token = 1; token < 40; ++token) asked.request.prompt.push_back(token * 7 % 60 + 1);
    asked.request.max_new_tokens = 20;
    asked.request.sampling.temperature = 1.0F;
    asked.request.sampling.seed = seed;
    asked.request.ignore_end_of_generation = true;
    asked.lora = lora;
    return asked;
  }
  static std::vector<TokenId> tokens_of(const GenerationResult& result) {
    std::vector<TokenId> tokens;
    for (const SampledToken& token : result.tokens) tokens.push_back(token.token);
    return tokens;
  }
  std::vector<TokenId> alone(const EngineRequest& asked) const {
    Generator generator(loaded_, {.context_size = 64, .lora = asked.lora});
    Sequence sequence = generator.new_sequence();
    return tokens_of(generator.generate(sequence, asked.request));
  }

  tessera::testing::TemporaryFolder folder_;
  std::shared_ptr<const WeightSource> source_;
  std::shared_ptr<const LoadedModel> loaded_;
};

TEST_F(LoraAdapters, OfOneBatchGiveEachItsOwnText) {
  std::vector<EngineRequest> requests;
  for (std::uint64_t i = 0; i < 9; ++i)
    requests.push_back(request(static_cast<nn::LoraId>(i % 3) - 1, i / 3));
  std::vector<std::vector<TokenId>> found(requests.size());
  {
    Engine engine(loaded_, {.context_size = 64, .cache_tokens = 640});
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      threads.emplace_back([&, i] { found[i] = tokens_of(engine.run(requests[i]).front()); });
    }
    for (std::thread& thread : threads) thread.join();
  }
  for (std::size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(found[i], alone(requests[i])) << i;
  EXPECT_NE(found[0], found[1]);
  EXPECT_NE(found[1], found[2]);
}

TEST_F(LoraAdapters, ShareNoCachedPrefixes) {
  Engine engine(loaded_, {.context_size = 64, .cache_tokens = 640});
  for (const nn::LoraId lora : {nn::LoraId{0}, nn::LoraId{1}, nn::kNoLora}) {
    const GenerationResult first = engine.run(request(lora, 1)).front();
    EXPECT_EQ(first.usage.cached_tokens, 0) << lora;
    const GenerationResult again = engine.run(request(lora, 1)).front();
    EXPECT_GT(again.usage.cached_tokens, 0) << lora;
    EXPECT_EQ(tokens_of(again), tokens_of(first));
    EXPECT_EQ(tokens_of(again), alone(request(lora, 1)));
  }
  EXPECT_THAT(error_of([&] { engine.run(request(2, 1)); }), HasSubstr("expected one of 2"));
}

TEST_F(LoraAdapters, OfASequenceThatChangesItsOwnAreComputedAnew) {
  Generator generator(loaded_, {.context_size = 64});
  Sequence sequence = generator.new_sequence();
  for (const nn::LoraId lora : {nn::LoraId{1}, nn::kNoLora, nn::LoraId{0}}) {
    sequence.set_lora(lora);
    EXPECT_EQ(tokens_of(generator.generate(sequence, request(lora, 5).request)), alone(request(lora, 5)));
  }
}

TEST_F(LoraAdapters, AreFoundByName) {
  EXPECT_EQ(find_lora(*loaded_, "first"), 0);
  EXPECT_EQ(find_lora(*loaded_, "2nd"), 1);
  EXPECT_EQ(find_lora(*loaded_, "second"), std::nullopt);
  EXPECT_NE(loaded_->adapters[0].identity, loaded_->adapters[1].identity);
}

TEST_F(LoraAdapters, AreNamedByTheirFolder) {
  const auto names = [&](const std::vector<std::string>& given) {
    std::vector<std::string> found;
    for (const LoraFile& file : lora_files(given)) found.push_back(file.name);
    return found;
  };
  EXPECT_THAT(names({path_of("first"), path_of("second") + "/"}), ElementsAre("first", "second"));
  std::filesystem::create_directories(path_of("run"));
  std::filesystem::create_directory_symlink("../first", path_of("run") + "/latest");
  EXPECT_THAT(names({path_of("run") + "/latest", "x=" + path_of("first")}), ElementsAre("run", "x"));
  EXPECT_THAT(error_of([&] { names({path_of("first"), path_of("first")}); }), HasSubstr("'first' twice"));
  EXPECT_THAT(error_of([&] { names({"=" + path_of("first")}); }), HasSubstr("NAME=FOLDER"));
  EXPECT_THAT(error_of([&] { names({path_of("third")}); }), HasSubstr("adapter_config.json"));
}

}  // namespace
}  // namespace tessera::engine
