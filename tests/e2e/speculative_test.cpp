// Prompt lookup on the default model: the program gives the same text with and without, and tells its
// guesses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/generator.h"
#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera {
namespace {

using engine::GenerationResult;
using engine::Generator;
using engine::Request;
using engine::SamplingOptions;
using engine::Sequence;

constexpr const char* kRepeating =
    "Original: The lighthouse keeper climbed the stairs each evening at dusk, carrying a lantern and oil.\n"
    "Copy: The lighthouse keeper climbed the stairs each evening at dusk, carrying a lantern and oil.\n\n"
    "Original: In the valley behind the mill there is an orchard of pears that nobody planted.\nCopy:";

class SpeculativeWithDefaultModel : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = testing::default_model();
    if (!path) GTEST_SKIP() << "the default model is not there; ./quickstart gets it";
    loaded_ = std::make_shared<const engine::LoadedModel>(engine::load_model(path->string()));
  }
  std::shared_ptr<const engine::LoadedModel> loaded_;
};

TEST_F(SpeculativeWithDefaultModel, GreedyAndSampledTextIsThatOfPlainDecoding) {
  Generator generator(loaded_, {.context_size = 512});
  std::int64_t accepted = 0;
  for (const char* prompt : {kRepeating, "Once upon a time there was a boat that"}) {
    for (const SamplingOptions& sampling :
         {SamplingOptions{.temperature = 0, .logprobs = 2}, SamplingOptions{.temperature = 0.8F, .seed = 5},
          SamplingOptions{.temperature = 1.1F, .top_k = 40, .repetition_penalty = 1.1F, .seed = 6}}) {
      Request request{.prompt = generator.tokenizer().encode(prompt),
                      .sampling = sampling,
                      .max_new_tokens = 32,
                      .ignore_end_of_generation = true};
      Sequence plain = generator.new_sequence();
      const GenerationResult expected = generator.generate(plain, request);
      request.speculative = {.prompt_lookup = true, .least_gain = 0};
      Sequence fast = generator.new_sequence();
      const GenerationResult found = generator.generate(fast, request);
      EXPECT_EQ(found.text, expected.text);
      EXPECT_EQ(fast.tokens(), plain.tokens());
      EXPECT_EQ(fast.cached(), plain.cached());
      for (std::size_t i = 0; i < expected.tokens.size(); ++i) {
        ASSERT_EQ(found.tokens[i].logprob, expected.tokens[i].logprob) << i;
      }
      accepted += found.drafts.accepted;
    }
  }
  EXPECT_GT(accepted, 10);
}

TEST_F(SpeculativeWithDefaultModel, TheFlagsOfGenerateAndChat) {
  const std::vector<std::string> arguments{"generate", "-p", kRepeating, "-n", "24", "--temp", "0", "--json"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), arguments.begin(), arguments.end());
    return testing::run_tessera(more);
  };
  const auto plain = nlohmann::json::parse(with({}).output);
  const auto fast = nlohmann::json::parse(with({"--speculative", "lookup", "--draft-max", "8"}).output);
  EXPECT_EQ(fast["text"], plain["text"]);
  EXPECT_EQ(fast["tokens"], plain["tokens"]);
  EXPECT_FALSE(plain.contains("drafts"));
  for (const auto& wrong :
       {std::vector<std::string>{"--speculative", "magic"}, std::vector<std::string>{"--draft-max", "0"},
        std::vector<std::string>{"--draft-max", "1000"}}) {
    const auto result = with(wrong);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.errors, ::testing::HasSubstr(wrong.front() + ": expected"));
  }
  const testing::CommandOptions question{.input = "Say hello.\n", .environment = {}};
  const auto chat = testing::run_tessera({"chat", "-n", "16"}, question);
  const auto fast_chat = testing::run_tessera({"chat", "-n", "16", "--speculative", "lookup"}, question);
  EXPECT_EQ(fast_chat.exit_code, 0) << fast_chat.errors;
  EXPECT_EQ(fast_chat.output, chat.output);
}

}  // namespace
}  // namespace tessera
