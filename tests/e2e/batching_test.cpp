// Many requests at a time on the default model: each gets the text that it gets alone.
#include <gtest/gtest.h>

#include <thread>

#include "engine/engine.h"
#include "engine/generator.h"
#include "support/test_paths.h"

namespace tessera::engine {
namespace {

TEST(Batching, RequestsTogetherGiveTheTextsThatTheyGiveAlone) {
  const auto path = tessera::testing::default_model();
  if (!path) GTEST_SKIP() << "the default model is not there; ./quickstart gets it";
  const auto loaded = std::make_shared<const LoadedModel>(load_model(path->string()));
  const std::string lead = "A list of animals, and what each of them likes best of all:\n";
  std::vector<EngineRequest> requests;
  for (const char* more :
       {"The cat likes", "The cow likes", "A very old bear in the north of Canada likes", "The"}) {
    EngineRequest asked;
    asked.request.prompt = loaded->tokenizer->encode(lead + more);
    asked.request.max_new_tokens = 16;
    asked.request.sampling.temperature = requests.size() % 2 == 0 ? 0.0F : 0.9F;
    asked.request.sampling.seed = requests.size();
    asked.request.speculative.prompt_lookup = requests.size() % 2 == 0;
    requests.push_back(std::move(asked));
  }
  std::vector<GenerationResult> found(requests.size());
  {
    Engine engine(loaded, {.context_size = 128, .cache_tokens = 256});
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      threads.emplace_back([&, i] { found[i] = engine.run(requests[i]).front(); });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_GT(engine.statistics().cached_tokens + engine.statistics().computed_tokens, 0);
  }
  Generator generator(loaded, {.context_size = 128});
  for (std::size_t i = 0; i < requests.size(); ++i) {
    Sequence sequence = generator.new_sequence();
    Request request = requests[i].request;
    request.speculative = {};
    EXPECT_EQ(generator.generate(sequence, request).text, found[i].text) << i;
  }
}

}  // namespace
}  // namespace tessera::engine
