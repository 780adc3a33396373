#include "train/data_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>
#include <vector>

#include "base/error.h"
#include "support/error_of.h"
#include "support/test_paths.h"
#include "train/index_permutation.h"
#include "train/token_file_writer.h"

namespace tessera::train {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;

std::vector<TokenId> count_to(int count) {
  std::vector<TokenId> ids(count);
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

// The first input of every row, batch after batch, until the epoch ends.
std::vector<std::int32_t> rest_of_epoch(DataLoader& loader) {
  std::vector<std::int32_t> firsts;
  Batch batch;
  while (loader.next(batch)) {
    EXPECT_EQ(batch.inputs.size(), static_cast<std::size_t>(batch.B * batch.T));
    EXPECT_EQ(batch.targets.size(), batch.inputs.size());
    for (std::size_t i = 0; i < batch.inputs.size(); ++i) {
      EXPECT_EQ(batch.targets[i], batch.inputs[i] + 1);
    }
    for (std::int64_t row = 0; row < batch.B; ++row) firsts.push_back(batch.inputs[row * batch.T]);
  }
  EXPECT_FALSE(loader.next(batch)) << "the end stays the end";
  return firsts;
}

TEST(IndexPermutation, IsAPermutationOfEverySmallCount) {
  for (std::uint64_t count = 1; count < 300; ++count) {
    const IndexPermutation order(count, 3, 5);
    std::set<std::uint64_t> seen;
    for (std::uint64_t place = 0; place < count; ++place) seen.insert(order(place));
    ASSERT_EQ(seen.size(), count);
    ASSERT_EQ(*seen.rbegin(), count - 1);
  }
}

// The same numbers on every machine: computed by hand of the definition in Python.
TEST(IndexPermutation, GivesTheseNumbersEverywhere) {
  const auto first_ten = [](std::uint64_t count, std::uint64_t seed, std::uint64_t epoch) {
    const IndexPermutation order(count, seed, epoch);
    std::vector<std::uint64_t> found;
    for (std::uint64_t place = 0; place < 10; ++place) found.push_back(order(place));
    return found;
  };
  EXPECT_THAT(first_ten(10U, 0, 0), ElementsAre(0, 4, 2, 8, 6, 7, 9, 1, 3, 5));
  EXPECT_THAT(first_ten(1003790U, 1337, 0),
              ElementsAre(403445, 413116, 775493, 766904, 636079, 186299, 193262, 316730, 769810, 956324));
  EXPECT_THAT(first_ten(1003790U, 1337, 1),
              ElementsAre(220661, 303315, 505536, 703270, 297606, 94214, 650883, 778719, 394746, 695242));
  EXPECT_THAT(first_ten(1099511627783ULL, 5, 2),
              ElementsAre(990621677490, 1021855579, 378222195925, 736890053924, 585341224704, 954399901158,
                          497917103896, 883750472679, 725958050661, 633327299466));
}

// Chi-square over (place, index) cells: 49 degrees of freedom have a mean of 49 and a deviation of 10; the
// row and column sums being fixed, 6 x 6 = 36 are free.
TEST(IndexPermutation, EveryPlaceGetsEveryIndexAlikeOverSeedsAndEpochs) {
  constexpr int kCount = 7;
  constexpr int kDraws = 7000;
  std::vector<int> hits(kCount * kCount);
  for (int draw = 0; draw < kDraws; ++draw) {
    const IndexPermutation order(kCount, draw % 70, draw / 70);
    for (int place = 0; place < kCount; ++place) ++hits[place * kCount + static_cast<int>(order(place))];
  }
  double chi_square = 0;
  for (const int hit : hits) chi_square += (hit - 1000.0) * (hit - 1000.0) / 1000.0;
  EXPECT_LT(chi_square, 90) << "far above what 36 degrees of freedom give";
}

TEST(IndexPermutation, NeighboursDoNotStayTogether) {
  constexpr std::uint64_t kCount = 100'000;
  const IndexPermutation order(kCount, 1, 0);
  int near = 0;
  for (std::uint64_t place = 0; place + 1 < kCount; ++place) {
    const auto step = static_cast<std::int64_t>(order(place + 1)) - static_cast<std::int64_t>(order(place));
    near += std::abs(step) < 100;
  }
  EXPECT_LT(near, 400);  // by chance about 200
  EXPECT_GT(near, 100);
}

TEST(DataLoader, AnEpochHoldsEveryWindowOnce) {
  const std::vector<TokenId> ids = count_to(104);
  const TokenDataset dataset(ids, {.seq_len = 4, .stride = 1});
  ASSERT_EQ(dataset.size(), 100);
  DataLoader loader(dataset, {.batch_size = 7, .seed = 9, .drop_last = false});
  std::vector<std::int32_t> firsts = rest_of_epoch(loader);
  EXPECT_EQ(loader.batches_per_epoch(), 15);
  EXPECT_FALSE(std::ranges::is_sorted(firsts));
  std::ranges::sort(firsts);
  EXPECT_EQ(firsts, count_to(100));
}

TEST(DataLoader, WithoutShuffleInOrderAndTheRestDropped) {
  const std::vector<TokenId> ids = count_to(12);
  const TokenDataset dataset(ids, {.seq_len = 2, .stride = 1});
  DataLoader loader(dataset, {.batch_size = 4, .shuffle = false});
  EXPECT_THAT(rest_of_epoch(loader), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  loader.reset(1);
  EXPECT_THAT(rest_of_epoch(loader), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST(DataLoader, OrderDependsOnSeedAndEpochAndNothingElse) {
  const std::vector<TokenId> ids = count_to(104);
  const TokenDataset dataset(ids, {.seq_len = 4, .stride = 1});
  const auto epoch = [&](DataLoaderOptions options, std::int64_t number) {
    DataLoader loader(dataset, options);
    loader.reset(number);
    return rest_of_epoch(loader);
  };
  const auto first = epoch({.batch_size = 10, .seed = 1}, 0);
  for (const int prefetch : {0, 1, 5, 100}) {
    EXPECT_EQ(epoch({.batch_size = 10, .seed = 1, .prefetch = prefetch}, 0), first);
    EXPECT_EQ(epoch({.batch_size = 20, .seed = 1, .prefetch = prefetch}, 0), first)
        << "batches cut the same order";
  }
  EXPECT_NE(epoch({.batch_size = 10, .seed = 2}, 0), first);
  EXPECT_NE(epoch({.batch_size = 10, .seed = 1}, 1), first);
}

TEST(DataLoader, GoesOnExactlyAtEveryBatch) {
  const std::vector<TokenId> ids = count_to(59);
  const TokenDataset dataset(ids, {.seq_len = 3, .stride = 2});
  const DataLoaderOptions options{.batch_size = 3, .seed = 4, .drop_last = false, .prefetch = 3};
  DataLoader whole(dataset, options);
  whole.reset(2);
  const auto expected = rest_of_epoch(whole);
  for (std::int64_t stop = 0; stop <= whole.batches_per_epoch(); ++stop) {
    DataLoader loader(dataset, options);
    loader.reset(2);
    std::vector<std::int32_t> seen;
    Batch batch;
    for (std::int64_t i = 0; i < stop; ++i) {
      ASSERT_TRUE(loader.next(batch));
      for (std::int64_t row = 0; row < batch.B; ++row) seen.push_back(batch.inputs[row * batch.T]);
    }
    const DataLoaderState state = loader.state();
    EXPECT_EQ(state.batch, stop);
    DataLoader resumed(dataset, {.batch_size = 3, .seed = 4, .drop_last = false, .prefetch = 1});
    resumed.restore(state);
    EXPECT_EQ(resumed.state(), state);
    const auto rest = rest_of_epoch(resumed);
    seen.insert(seen.end(), rest.begin(), rest.end());
    EXPECT_EQ(seen, expected) << "stopped after " << stop;
  }
}

TEST(DataLoader, ResetAndRestoreForgetWhatWasPrefetched) {
  const std::vector<TokenId> ids = count_to(59);
  const TokenDataset dataset(ids, {.seq_len = 3, .stride = 2});
  DataLoader loader(dataset, {.batch_size = 3, .seed = 4, .prefetch = 4});
  const DataLoaderState begin = loader.state();
  const auto first = rest_of_epoch(loader);
  Batch batch;
  loader.reset(1);
  ASSERT_TRUE(loader.next(batch));
  loader.reset(0);
  EXPECT_EQ(rest_of_epoch(loader), first);
  loader.restore(begin);
  EXPECT_EQ(rest_of_epoch(loader), first);
}

TEST(DataLoader, RefusesTheStateOfAnotherRun) {
  const std::vector<TokenId> ids = count_to(59);
  const TokenDataset dataset(ids, {.seq_len = 3, .stride = 2});
  DataLoader loader(dataset, {.batch_size = 3, .seed = 4});
  const auto error = [&](auto change) {
    DataLoaderState state = loader.state();
    change(state);
    return error_of([&] { loader.restore(state); });
  };
  EXPECT_THAT(error([](auto& state) { state.windows = 5; }),
              HasSubstr("expected windows 28, as here, found 5"));
  EXPECT_THAT(error([](auto& state) { state.seed = 5; }), HasSubstr("seed"));
  EXPECT_THAT(error([](auto& state) { state.global_batch = 5; }), HasSubstr("global batch"));
  EXPECT_THAT(error([](auto& state) { state.shuffle = false; }), HasSubstr("shuffle"));
  EXPECT_THAT(error([](auto& state) { state.batch = 10; }), HasSubstr("batch of 0 to 9"));
  EXPECT_THAT(error([](auto& state) { state.epoch = -1; }), HasSubstr("epoch"));
}

TEST(DataLoader, RanksShareEachBatch) {
  const std::vector<TokenId> ids = count_to(59);
  const TokenDataset dataset(ids, {.seq_len = 3, .stride = 2});
  DataLoader one(dataset, {.batch_size = 6, .seed = 4});
  DataLoader left(dataset, {.batch_size = 3, .seed = 4, .rank = 0, .world_size = 2});
  DataLoader right(dataset, {.batch_size = 3, .seed = 4, .rank = 1, .world_size = 2});
  Batch whole;
  Batch first;
  Batch second;
  int batches = 0;
  while (one.next(whole)) {
    ASSERT_TRUE(left.next(first));
    ASSERT_TRUE(right.next(second));
    first.inputs.insert(first.inputs.end(), second.inputs.begin(), second.inputs.end());
    EXPECT_EQ(first.inputs, whole.inputs);
    ++batches;
  }
  EXPECT_EQ(batches, 4);
  EXPECT_FALSE(left.next(first));
  DataLoader unsplit(dataset, {.batch_size = 6, .seed = 4});
  left.reset(0);
  unsplit.restore(left.state());  // a run goes on with another number of ranks
}

TEST(DataLoader, RefusesTheImpossible) {
  const std::vector<TokenId> ids = count_to(10);
  const TokenDataset dataset(ids, {.seq_len = 3});
  const auto error = [&](const DataLoaderOptions& options) {
    return error_of([&] { const DataLoader loader(dataset, options); });
  };
  EXPECT_THAT(error({.batch_size = 0}), HasSubstr("batch_size: expected at least 1"));
  EXPECT_THAT(error({.batch_size = 4}), HasSubstr("at most the 3 windows of seq_len 3"));
  EXPECT_THAT(error({.batch_size = std::int64_t{1} << 62}), HasSubstr("batch_size"));
  EXPECT_THAT(error({.prefetch = -1}), HasSubstr("prefetch"));
  EXPECT_THAT(error({.rank = 2, .world_size = 2}), HasSubstr("rank: expected 0 to 1, found 2"));
  EXPECT_THAT(error({.drop_last = false, .world_size = 2}), HasSubstr("drop_last"));
  EXPECT_THAT(error_of([&] { DataLoader(dataset, {}).reset(-1); }), HasSubstr("epoch"));
}

TEST(DataLoader, AFileCutShortWhileTrainingIsAnErrorOfNext) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / "cut_short.tokens";
  TokenFileWriter writer(path, {.vocabulary_size = 100});
  writer.add_document(count_to(100));
  writer.commit();
  const TokenDataset dataset = TokenDataset::open(path, {.seq_len = 4});
  for (const int prefetch : {0, 2}) {
    DataLoader loader(dataset, {.batch_size = 2, .prefetch = prefetch});
    Batch batch;
    ASSERT_TRUE(loader.next(batch));
    const auto size = std::filesystem::file_size(path);
    ASSERT_EQ(::truncate(path.c_str(), 130), 0);
    EXPECT_THAT(error_of([&] {
                  while (loader.next(batch)) {
                  }
                }),
                HasSubstr("shorter"));
    ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(size)), 0);
  }
}

}  // namespace
}  // namespace tessera::train
