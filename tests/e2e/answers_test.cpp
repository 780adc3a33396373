// The default model answers questions sensibly through its own chat template, greedily.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/conversation.h"
#include "support/test_paths.h"

namespace tessera::engine {
namespace {

using ::testing::HasSubstr;

struct Question {
  const char* text;
  const char* part_of_answer;
};

class Answers : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = tessera::testing::default_model();
    if (!path) GTEST_SKIP() << "the default model is not there; ./quickstart gets it";
    auto loaded = std::make_shared<const LoadedModel>(load_model(path->string()));
    generator_ = std::make_unique<Generator>(loaded, GeneratorOptions{.context_size = 1024});
  }

  static constexpr AnswerOptions greedy() { return {.sampling = {.temperature = 0}, .max_new_tokens = 40}; }

  std::unique_ptr<Generator> generator_;
};

TEST_F(Answers, AFixedSetOfQuestions) {
  const std::vector<Question> questions{
      {"What is the capital of France?", "Paris"},
      {"What is the capital of Germany?", "Berlin"},
      {"What color is the sky on a clear day?", "blue"},
      {"Who wrote Romeo and Juliet?", "Shakespeare"},
      {"What is 2 + 2?", "4"},
      {"Which planet do we live on?", "Earth"},
  };
  for (const Question& question : questions) {
    Conversation chat(*generator_);
    chat.add_user(question.text);
    const GenerationResult result = chat.answer(greedy());
    EXPECT_THAT(result.text, HasSubstr(question.part_of_answer)) << question.text;
  }
}

TEST_F(Answers, TheSecondTurnComputesOnlyWhatIsNewAndUndoComputesNothing) {
  Conversation chat(*generator_);
  chat.add_user("What is the capital of France?");
  const GenerationResult first = chat.answer(greedy());
  EXPECT_THAT(first.text, HasSubstr("Paris"));
  chat.add_user("Is it a large city?");
  const GenerationResult second = chat.answer(greedy());
  const std::int64_t known = first.usage.prompt_tokens + static_cast<std::int64_t>(first.tokens.size());
  EXPECT_GE(second.usage.cached_tokens, known - 1);
  chat.undo();
  chat.add_user("Is it a large city?");
  const GenerationResult again = chat.answer(greedy());
  EXPECT_EQ(again.text, second.text);
  EXPECT_GE(again.usage.cached_tokens, known - 1);

  // Without a cache the same questions give the same answers.
  Conversation fresh(*generator_);
  fresh.add_user("What is the capital of France?");
  EXPECT_EQ(fresh.answer(greedy()).text, first.text);
  fresh.add_user("Is it a large city?");
  EXPECT_EQ(fresh.answer(greedy()).text, second.text);
}

}  // namespace
}  // namespace tessera::engine
