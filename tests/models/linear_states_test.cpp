// Models whose layers keep a state of constant size, in the engine: what a sequence computes must not depend
// on how it was cut, on its neighbours, or on what was taken back and computed again.
#include <gtest/gtest.h>

#include <random>

#include "engine/model_runner.h"
#include "golden_model.h"

namespace tessera::testing {
namespace {

using engine::KeyValueCache;
using engine::ModelRunner;
using engine::Sequence;
using engine::SequenceStep;

class LinearStates : public ::testing::Test {
 protected:
  LinearStates()
      : model_(load_model(golden_models_dir() / "linear_kinds")),
        tokens_(read_golden("linear_kinds").tokens),
        cache_(model_->config().layers, {.tokens = 512, .key_dtype = DType::f32, .value_dtype = DType::f32}),
        runner_(*model_, cache_) {}

  Sequence sequence_of(std::span<const TokenId> tokens) {
    Sequence sequence(cache_.block_manager());
    for (const TokenId token : tokens) sequence.append(token);
    return sequence;
  }
  // Logits of the next `count` tokens of each.
  std::vector<float> run(std::initializer_list<Sequence*> sequences, std::int64_t count) {
    std::vector<SequenceStep> steps;
    for (Sequence* sequence : sequences) steps.push_back({sequence, count, count});
    const Tensor logits = runner_.run(steps);
    const std::span<const float> values = logits.as<float>();
    return {values.begin(), values.end()};
  }
  std::int64_t length() const { return static_cast<std::int64_t>(tokens_.size()); }
  std::vector<float> whole() {
    Sequence sequence = sequence_of(tokens_);
    return run({&sequence}, length());
  }

  std::unique_ptr<models::Model> model_;
  std::vector<TokenId> tokens_;
  KeyValueCache cache_;
  ModelRunner runner_;
};

TEST_F(LinearStates, AreKeptForLayersThatHaveNoKeys) {
  ASSERT_EQ(cache_.states().size(), 5U);
  for (std::size_t layer = 0; layer < 5; ++layer) {
    const bool softmax = layer == 4;
    EXPECT_EQ(cache_.states()[layer].slot_floats == 0, softmax);
    EXPECT_EQ(cache_.layers()[layer].num_key_value_heads > 0, softmax);
  }
  // Only the softmax layer's keys and values grow with the text: 2 heads of 8 in float32, padded to 16
  // values.
  EXPECT_EQ(engine::key_value_bytes_per_token(model_->config().layers, DType::f32, DType::f32),
            2U * (8U + 16U) * 4U);
}

TEST_F(LinearStates, SequencesSideBySideComputeWhatTheyDoAlone) {
  const std::vector<float> expected = whole();
  Sequence first = sequence_of(tokens_);
  Sequence second = sequence_of(tokens_);
  const std::vector<float> head = run({&first}, 5);  // out of step with each other
  std::vector<float> found = head;
  const auto width = static_cast<std::size_t>(model_->config().vocab_size);
  std::vector<float> others;
  while (first.cached() < length()) {
    const std::int64_t count = std::min<std::int64_t>(3, length() - first.cached());
    const std::vector<float> both = run({&second, &first}, count);
    const auto middle = both.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(count) * width);
    others.insert(others.end(), both.begin(), middle);
    found.insert(found.end(), middle, both.end());
  }
  EXPECT_EQ(found, expected);
  EXPECT_TRUE(std::equal(others.begin(), others.end(), expected.begin()));
}

// Guesses are rows of the last chunk and can be taken back; what the state has swallowed is computed again.
TEST_F(LinearStates, RollBackWithinTheChunkAndComputeTheRestAgain) {
  const std::vector<float> expected = whole();
  const auto width = static_cast<std::size_t>(model_->config().vocab_size);
  std::vector<TokenId> wrong = tokens_;
  for (std::size_t t = 36; t < wrong.size(); ++t) wrong[t] = (wrong[t] + 1) % 60;
  Sequence sequence = sequence_of(wrong);
  run({&sequence}, 44);
  EXPECT_EQ(sequence.table().most_drafts(), 2);  // rows 44, 45 and 46; 47 would end the chunk
  EXPECT_EQ(sequence.replace(tokens_), 36);
  const std::vector<float> rest = run({&sequence}, length() - 36);
  EXPECT_TRUE(
      std::equal(rest.begin(), rest.end(), expected.begin() + static_cast<std::ptrdiff_t>(36 * width)));

  std::vector<TokenId> early = tokens_;
  early[20] = (early[20] + 1) % 60;
  EXPECT_EQ(sequence.replace(early), 0) << "the state cannot go back to token 20";
  EXPECT_EQ(sequence.replace(tokens_), 0);
  EXPECT_EQ(run({&sequence}, length()), expected);
  EXPECT_EQ(sequence.fork().cached(), 0);
}

TEST_F(LinearStates, SlotsAreGivenBackAndBeginEmpty) {
  const std::vector<float> expected = whole();
  for (int i = 0; i < 40; ++i) {  // more often than there are slots
    Sequence sequence = sequence_of(tokens_);
    run({&sequence}, 20 + i % 7);
  }
  EXPECT_EQ(whole(), expected);
  Sequence moved = sequence_of(tokens_);
  run({&moved}, 7);
  Sequence owner = std::move(moved);
  const std::vector<float> rest = run({&owner}, length() - 7);
  const auto at = static_cast<std::size_t>(7 * model_->config().vocab_size);
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), expected.begin() + static_cast<std::ptrdiff_t>(at)));
}

}  // namespace
}  // namespace tessera::testing
