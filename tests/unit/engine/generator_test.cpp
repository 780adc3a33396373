#include "engine/generator.h"

#include <gtest/gtest.h>

#include "support/test_paths.h"
#include "toy_text.h"

namespace tessera::engine {
namespace {

using testing::bytes_of;
using testing::kImEnd;
using testing::loaded_with;
using testing::ScriptedModel;
using testing::ToyModel;

constexpr SamplingOptions kGreedy{.temperature = 0};

// A generator whose model says `script`, the first `prompt` bytes of which are the prompt.
struct Scripted {
  explicit Scripted(std::vector<TokenId> script, GeneratorOptions options = {})
      : generator(loaded_with(std::make_shared<ScriptedModel>(std::move(script))), options),
        sequence(generator.new_sequence()) {}

  GenerationResult run(Request request, const CancelFlag* cancel = nullptr) {
    return generator.generate(
        sequence, request, [this](const GeneratedPiece& piece) { pieces.push_back(piece); }, cancel);
  }

  Generator generator;
  Sequence sequence;
  std::vector<GeneratedPiece> pieces;
};

std::string joined(const std::vector<GeneratedPiece>& pieces) {
  std::string text;
  for (const GeneratedPiece& piece : pieces) text += piece.text;
  return text;
}

TEST(Generator, StreamsWholeCharactersAndAllTokens) {
  Scripted run(bytes_of("Hi: é日🙂!"));
  const GenerationResult result =
      run.run({.prompt = bytes_of("Hi:"), .sampling = kGreedy, .max_new_tokens = 11});
  EXPECT_EQ(result.text, " é日🙂!");
  EXPECT_EQ(result.finish_reason, FinishReason::length);
  ASSERT_EQ(run.pieces.size(), 5U);
  EXPECT_EQ(run.pieces[1].text, "é");
  EXPECT_EQ(run.pieces[1].tokens.size(), 2U);
  EXPECT_EQ(run.pieces[3].text, "🙂");
  EXPECT_EQ(run.pieces[3].tokens.size(), 4U);
  EXPECT_EQ(joined(run.pieces), result.text);
  EXPECT_EQ(result.usage.completion_tokens, 11);
  EXPECT_EQ(run.sequence.tokens(), bytes_of("Hi: é日🙂!"));
}

TEST(Generator, AnUnfinishedCharacterAtTheEndIsShownAsReplacement) {
  Scripted run(bytes_of("a日"));
  const GenerationResult result =
      run.run({.prompt = bytes_of("a"), .sampling = kGreedy, .max_new_tokens = 2});
  EXPECT_EQ(result.text, "\xEF\xBF\xBD");
  EXPECT_EQ(result.tokens.size(), 2U);
}

TEST(Generator, StopsAtAStringAcrossTokens) {
  Scripted run(bytes_of("Q: hello\nUser: more"));
  const GenerationResult result = run.run(
      {.prompt = bytes_of("Q:"), .sampling = kGreedy, .max_new_tokens = 100, .stop = {"User:", "zzz"}});
  EXPECT_EQ(result.text, " hello\n");
  EXPECT_EQ(joined(run.pieces), " hello\n");
  EXPECT_EQ(result.finish_reason, FinishReason::stop);
  EXPECT_EQ(result.stop, "User:");
  EXPECT_EQ(result.usage.completion_tokens, 12);
}

TEST(Generator, AStopStringThatNeverCompletesIsGivenOutAtTheEnd) {
  Scripted run(bytes_of("Q: hello Use"));
  const GenerationResult result =
      run.run({.prompt = bytes_of("Q:"), .sampling = kGreedy, .max_new_tokens = 10, .stop = {"User:"}});
  EXPECT_EQ(result.text, " hello Use");
  EXPECT_EQ(result.finish_reason, FinishReason::length);
  EXPECT_FALSE(result.stop);
}

TEST(Generator, EndsWhereTheModelEnds) {
  std::vector<TokenId> script = bytes_of("Q: yes");
  script.push_back(kImEnd);
  script.push_back('!');
  Scripted run(script);
  const Request request{.prompt = bytes_of("Q:"), .sampling = kGreedy, .max_new_tokens = 6};
  const GenerationResult result = run.run(request);
  EXPECT_EQ(result.text, " yes");
  EXPECT_EQ(result.finish_reason, FinishReason::end_of_generation);
  EXPECT_EQ(result.tokens.size(), 4U);
  EXPECT_EQ(result.usage.completion_tokens, 5);
  Request on = request;
  on.ignore_end_of_generation = true;
  EXPECT_EQ(run.run(on).text, " yes!");
}

TEST(Generator, AFullContextIsSaid) {
  Scripted run(bytes_of("Q:abcdefghijklmnopqrstuvw"), {.context_size = 10});
  const GenerationResult result = run.run({.prompt = bytes_of("Q:"), .sampling = kGreedy});
  EXPECT_EQ(result.finish_reason, FinishReason::context_full);
  EXPECT_EQ(result.text, "abcdefgh");
  EXPECT_EQ(run.sequence.length(), 10);
}

TEST(Generator, APromptThatDoesNotFitIsAnErrorWithBothCounts) {
  Scripted run(bytes_of("Q"), {.context_size = 10});
  run.run({.prompt = bytes_of("Q"), .sampling = kGreedy, .max_new_tokens = 1});
  for (const std::size_t size : {10U, 500U}) {
    try {
      run.run({.prompt = std::vector<TokenId>(size, 'x'), .sampling = kGreedy});
      FAIL() << size;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::limit);
      const std::string line = error.what();
      EXPECT_NE(line.find(std::to_string(size) + " tokens"), std::string::npos) << line;
      EXPECT_NE(line.find("holds 10"), std::string::npos) << line;
    }
  }
  EXPECT_EQ(run.sequence.length(), 2);  // as before
  const GenerationResult fits = run.run({.prompt = std::vector<TokenId>(9, 'x'), .sampling = kGreedy});
  EXPECT_EQ(fits.usage.completion_tokens, 1);
  EXPECT_EQ(fits.finish_reason, FinishReason::context_full);
}

TEST(Generator, CancellingKeepsWhatThereIsAndTheSequenceGoesOn) {
  Scripted run(bytes_of("Q: one two three"));
  CancelFlag cancel{false};
  const Request request{.prompt = bytes_of("Q:"), .sampling = kGreedy, .max_new_tokens = 14};
  const GenerationResult result = run.generator.generate(
      run.sequence, request, [&](const GeneratedPiece& piece) { cancel = piece.text == "e"; }, &cancel);
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(result.text, " one");
  Request rest = request;
  rest.prompt = run.sequence.tokens();
  rest.max_new_tokens = 10;
  EXPECT_EQ(run.run(rest).text, " two three");
}

TEST(Generator, CancelledBeforeTheFirstTokenGivesNothing) {
  Scripted run(bytes_of("Q: one"));
  const CancelFlag cancel{true};
  const GenerationResult result = run.run({.prompt = bytes_of("Q:"), .sampling = kGreedy}, &cancel);
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(result.usage.completion_tokens, 0);
  EXPECT_TRUE(result.text.empty());
}

TEST(Generator, BadRequestsAreNamed) {
  Scripted run(bytes_of("Q: one"));
  EXPECT_THROW(run.run({.prompt = {}}), Error);
  EXPECT_THROW(run.run({.prompt = {-1}}), Error);
  EXPECT_THROW(run.run({.prompt = {300}}), Error);
  EXPECT_THROW(run.run({.prompt = {1}, .max_new_tokens = -2}), Error);
  EXPECT_THROW(run.run({.prompt = {1}, .stop = {""}}), Error);
  EXPECT_THROW(run.run({.prompt = {1}, .sampling = {.top_p = 2}}), Error);
  EXPECT_EQ(run.run({.prompt = {1}, .max_new_tokens = 0}).usage.completion_tokens, 0);
  EXPECT_THROW(Scripted({}, {.context_size = 100'000}), Error);
  EXPECT_THROW(Scripted({}, {.context_size = -1}), Error);
  EXPECT_THROW(Scripted({}, {.prefill_chunk = 0}), Error);
}

TEST(Generator, TheCommonPrefixIsNotComputedAgain) {
  Scripted run(bytes_of("Q: one two three four"));
  const auto first = run.run({.prompt = bytes_of("Q: one"), .sampling = kGreedy, .max_new_tokens = 4});
  EXPECT_EQ(first.usage.cached_tokens, 0);
  EXPECT_EQ(first.timings.prefill_tokens, 6);
  // "Q: one two" is there, of which the last token has not been through the model.
  const auto second = run.run({.prompt = bytes_of("Q: one two!!"), .sampling = kGreedy, .max_new_tokens = 1});
  EXPECT_EQ(second.usage.cached_tokens, 9);
  EXPECT_EQ(second.timings.prefill_tokens, 3);
}

TEST(Generator, LogprobsComeWithTheTokens) {
  Scripted run(bytes_of("Q: one"));
  const auto result =
      run.run({.prompt = bytes_of("Q:"), .sampling = {.temperature = 0, .logprobs = 3}, .max_new_tokens = 2});
  ASSERT_EQ(result.tokens.size(), 2U);
  ASSERT_EQ(result.tokens[0].top.size(), 3U);
  EXPECT_EQ(result.tokens[0].top[0].token, ' ');
  EXPECT_NEAR(result.tokens[0].logprob, 0.0, 1e-6);
}

TEST(Generator, PrefillTellsItsProgress) {
  Scripted run(std::vector<TokenId>(100, 'x'), {.prefill_chunk = 16});
  std::vector<Progress> seen;
  run.generator.generate(run.sequence, {.prompt = std::vector<TokenId>(40, 'x'), .max_new_tokens = 3}, {},
                         nullptr, [&](const Progress& progress) { seen.push_back(progress); });
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0].done, 16U);
  EXPECT_EQ(seen[2].done, 40U);
  EXPECT_EQ(seen[2].total, 40U);
  EXPECT_TRUE(seen[2].finished);
}

// Real attention: what is sampled depends on every bit of the logits.
TEST(Generator, TheSameSeedGivesTheSameTextHoweverThePromptIsChunked) {
  std::vector<std::vector<TokenId>> texts;
  for (const std::int64_t chunk : {512, 7, 1}) {
    Generator generator(loaded_with(std::make_shared<ToyModel>()), {.prefill_chunk = chunk});
    Sequence sequence = generator.new_sequence();
    const Request request{.prompt = bytes_of("Once upon a time there was"),
                          .sampling = {.temperature = 1.2F, .seed = 99},
                          .max_new_tokens = 60,
                          .ignore_end_of_generation = true};
    generator.generate(sequence, request);
    texts.push_back(sequence.tokens());
    for (const TokenId token : sequence.tokens()) EXPECT_LT(token, 260) << "not in the vocabulary";
  }
  EXPECT_EQ(texts[0].size(), 86U);
  EXPECT_EQ(texts[1], texts[0]);
  EXPECT_EQ(texts[2], texts[0]);
}

TEST(Generator, BlocksReturnWhenSequencesGo) {
  Generator generator(loaded_with(std::make_shared<ToyModel>()), {});
  const std::int64_t free_before = generator.cache().block_manager().free_blocks();
  {
    Sequence sequence = generator.new_sequence();
    generator.generate(sequence, {.prompt = bytes_of("abc"), .max_new_tokens = 50});
    EXPECT_LT(generator.cache().block_manager().free_blocks(), free_before);
  }
  EXPECT_EQ(generator.cache().block_manager().free_blocks(), free_before);
}

TEST(LoadModel, AFolderWithoutATokenizerIsNamed) {
  const std::string path = (tessera::testing::golden_dir() / "models" / "llama").string();
  try {
    load_model(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_NE(std::string(error.what()).find("tokenizer.json"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("llama"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace tessera::engine
