#include "train/token_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "base/error.h"
#include "support/error_of.h"
#include "support/test_paths.h"
#include "train/token_file_writer.h"

namespace tessera::train {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::error_of;
using ::testing::HasSubstr;

struct Window {
  std::vector<std::int32_t> inputs;
  std::vector<std::int32_t> targets;
  std::vector<std::int32_t> documents;
};

Window window(const TokenDataset& dataset, std::int64_t index) {
  const auto length = static_cast<std::size_t>(dataset.seq_len());
  Window found{std::vector<std::int32_t>(length, -7), std::vector<std::int32_t>(length, -7),
               std::vector<std::int32_t>(length, -7)};
  dataset.window(index, found.inputs, found.targets, found.documents);
  return found;
}

std::vector<TokenId> count_to(int count) {
  std::vector<TokenId> ids(count);
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

TEST(TokenDataset, SlidesByStrideAndShiftsTargetsByOne) {
  const std::vector<TokenId> ids = count_to(10);
  const TokenDataset dataset(ids, {.seq_len = 4, .stride = 2});
  ASSERT_EQ(dataset.size(), 3);  // windows at 0, 2 and 4; one at 6 would lack its last target
  EXPECT_THAT(window(dataset, 0).inputs, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(window(dataset, 0).targets, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(window(dataset, 2).inputs, ElementsAre(4, 5, 6, 7));
  EXPECT_THAT(window(dataset, 2).targets, ElementsAre(5, 6, 7, 8));
  EXPECT_EQ(dataset.vocabulary_size(), 10);
}

// Against the definition, for every small case: window i exists while token i*stride + seq_len does.
TEST(TokenDataset, HasEveryWindowThatFits) {
  for (int count = 2; count < 30; ++count) {
    const std::vector<TokenId> ids = count_to(count);
    for (int length = 1; length < count; ++length) {
      for (int stride = 1; stride < 12; ++stride) {
        const TokenDataset dataset(ids, {.seq_len = length, .stride = stride});
        std::int64_t expected = 0;
        while (expected * stride + length < count) ++expected;
        ASSERT_EQ(dataset.size(), expected) << count << " " << length << " " << stride;
        const Window last = window(dataset, expected - 1);
        ASSERT_EQ(last.inputs.front(), (expected - 1) * stride);
        ASSERT_EQ(last.targets.back(), (expected - 1) * stride + length);
      }
    }
  }
}

TEST(TokenDataset, ATailGivesEveryTargetExactlyOnce) {
  for (int count = 2; count < 40; ++count) {
    const std::vector<TokenId> ids = count_to(count);
    for (int length = 1; length < 12; ++length) {
      const TokenDataset dataset(ids, {.seq_len = length, .keep_tail = true});
      std::vector<TokenId> targets;
      for (std::int64_t i = 0; i < dataset.size(); ++i) {
        const Window found = window(dataset, i);
        for (int t = 0; t < length; ++t) {
          if (found.targets[t] == kIgnoredTarget) continue;
          EXPECT_EQ(found.inputs[t] + 1, found.targets[t]);
          targets.push_back(found.targets[t]);
        }
      }
      std::vector<TokenId> expected = count_to(count);
      expected.erase(expected.begin());
      ASSERT_EQ(targets, expected) << count << " " << length;
    }
  }
}

std::shared_ptr<const TokenFile> golden_file() {
  return TokenFile::open(testing::golden_dir() / "train" / "masked_u16.tokens");
}

// Documents of 13, 1 and 23 tokens; token i counts when i % 3 == 0.
TEST(TokenDataset, MaskedTargetsAreIgnored) {
  const TokenDataset dataset(golden_file(), {.seq_len = 36});
  const Window found = window(dataset, 0);
  for (int t = 0; t < 36; ++t) EXPECT_EQ(found.targets[t] == kIgnoredTarget, (t + 1) % 3 != 0) << t;
  EXPECT_EQ(found.inputs[13], 300);
  EXPECT_EQ(dataset.vocabulary_size(), 301);
}

TEST(TokenDataset, DocumentsOfAWindowAreToldApart) {
  const TokenDataset apart(golden_file(), {.seq_len = 6, .stride = 1, .separate_documents = true});
  // Tokens 10..15: three of document 0, the single one of document 1, two of document 2.
  EXPECT_THAT(window(apart, 10).documents, ElementsAre(0, 0, 0, 1, 2, 2));
  // Tokens 11..16: the target of t = 4 is token 15, which counts; those of t = 1 and 2 begin documents.
  EXPECT_THAT(window(apart, 10).targets, ElementsAreArray({-100, 144, -100, -100, 7, -100}));
  const TokenDataset together(golden_file(), {.seq_len = 6, .stride = 1});
  EXPECT_THAT(window(together, 10).documents, ElementsAre(0, 0, 0, 1, 2, 2));
}

TEST(TokenDataset, TheFirstTokenOfADocumentIsNoTargetOfTheOneBefore) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / "two.tokens";
  TokenFileWriter writer(path, {.vocabulary_size = 10});
  writer.add_document(std::vector<TokenId>{1, 2});
  writer.add_document(std::vector<TokenId>{3, 4, 5});
  writer.commit();
  const TokenDataset apart = TokenDataset::open(path, {.seq_len = 4, .separate_documents = true});
  EXPECT_THAT(window(apart, 0).inputs, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(window(apart, 0).targets, ElementsAre(2, -100, 4, 5));
  const TokenDataset together = TokenDataset::open(path, {.seq_len = 4});
  EXPECT_THAT(window(together, 0).targets, ElementsAre(2, 3, 4, 5));
}

TEST(TokenDataset, RefusesTheImpossible) {
  const std::vector<TokenId> ids = count_to(10);
  const auto error = [&](const TokenDatasetOptions& options) {
    return error_of([&] { const TokenDataset dataset(ids, options); });
  };
  EXPECT_THAT(error({.seq_len = 0}), HasSubstr("seq_len: expected 1 to"));
  EXPECT_THAT(error({.seq_len = -1}), HasSubstr("found -1"));
  EXPECT_THAT(error({.seq_len = std::int64_t{1} << 62}), HasSubstr("seq_len"));
  EXPECT_THAT(error({.seq_len = 4, .stride = -2}), HasSubstr("stride"));
  EXPECT_THAT(error({.seq_len = 4, .stride = 2, .keep_tail = true}), HasSubstr("keep_tail"));
  EXPECT_THAT(error({.seq_len = 10}),
              HasSubstr("expected at least 11 tokens for one window of seq_len 10, found 10"));
  EXPECT_THAT(error_of([] { const TokenDataset none(std::span<const TokenId>(), {.seq_len = 1}); }),
              HasSubstr("found 0"));
  const std::vector<TokenId> negative = {1, -5, 2};
  EXPECT_THAT(error_of([&] { const TokenDataset dataset(negative, {.seq_len = 1}); }), HasSubstr("found -5"));
}

}  // namespace
}  // namespace tessera::train
