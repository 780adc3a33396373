#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace tessera::engine {
namespace {

constexpr std::int64_t kSize = 4;

std::vector<TokenId> counting(TokenId from, std::size_t count) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

class PrefixCacheTest : public ::testing::Test {
 protected:
  BlockManager manager_{16, kSize};
  PrefixCache cache_{manager_};
  std::vector<BlockCopy> copies_;

  // A sequence that has computed all of `tokens` but the last, and given its blocks to the cache.
  void run(const std::vector<TokenId>& tokens, std::string_view salt = {}) {
    Sequence sequence(manager_);
    sequence.replace(tokens);
    PrefixCache::Cursor cursor = cache_.root(salt);
    cache_.attach(sequence, cursor);
    sequence.table().append(sequence.length() - 1 - sequence.cached(), copies_);
    cache_.store(sequence, cursor, true);
  }

  // What a sequence of these tokens finds.
  std::int64_t found(const std::vector<TokenId>& tokens, std::string_view salt = {},
                     bool whole_blocks = false) {
    Sequence sequence(manager_);
    sequence.replace(tokens);
    PrefixCache::Cursor cursor = cache_.root(salt);
    const std::int64_t gained = cache_.attach(sequence, cursor, whole_blocks);
    EXPECT_EQ(sequence.cached(), gained);
    EXPECT_EQ(cursor.blocks, gained / kSize);
    return gained;
  }

  void expect_all_blocks_known() const {
    EXPECT_EQ(manager_.free_blocks() + cache_.size(), manager_.num_blocks());
    EXPECT_EQ(cache_.evictable(), cache_.size());
  }
};

TEST_F(PrefixCacheTest, ATextAgainIsFoundButForItsLastToken) {
  const auto tokens = counting(100, 11);
  EXPECT_EQ(found(tokens), 0);
  run(tokens);
  EXPECT_EQ(cache_.size(), 3);  // two full blocks, one of two tokens
  EXPECT_EQ(found(tokens), 10);
  EXPECT_EQ(found(tokens, {}, true), 8);
  EXPECT_EQ(found(counting(100, 9)), 8);
  EXPECT_EQ(found(counting(100, 8)), 7);  // the last token is never taken: its logits are wanted
  EXPECT_EQ(found(counting(100, 1)), 0);
  EXPECT_EQ(found(counting(100, 40)), 10);
  expect_all_blocks_known();
}

TEST_F(PrefixCacheTest, ATextThatPartsFromAnotherTakesItsBeginningToTheToken) {
  run(counting(100, 13));
  auto other = counting(100, 13);
  other[6] = 7;
  EXPECT_EQ(found(other), 6);
  EXPECT_EQ(found(other, {}, true), 4);
  other[0] = 7;
  EXPECT_EQ(found(other), 0);
}

TEST_F(PrefixCacheTest, SaltsShareNothing) {
  const auto tokens = counting(100, 11);
  run(tokens, "alice");
  EXPECT_EQ(found(tokens, "bob"), 0);
  EXPECT_EQ(found(tokens), 0);
  EXPECT_EQ(found(tokens, "alice"), 10);
  run(tokens, "bob");
  EXPECT_EQ(cache_.size(), 6);
}

TEST_F(PrefixCacheTest, WhatTwoComputedAtTheSameTimeIsKeptOnce) {
  const auto tokens = counting(100, 9);
  Sequence one(manager_);
  Sequence other(manager_);
  one.replace(tokens);
  other.replace(tokens);
  PrefixCache::Cursor one_cursor = cache_.root({});
  PrefixCache::Cursor other_cursor = cache_.root({});
  one.table().append(8, copies_);
  other.table().append(8, copies_);
  EXPECT_EQ(manager_.free_blocks(), 12);
  cache_.store(one, one_cursor);
  cache_.store(other, other_cursor);
  EXPECT_EQ(manager_.free_blocks(), 14);
  EXPECT_TRUE(std::ranges::equal(one.table().blocks(), other.table().blocks()));
  EXPECT_EQ(one_cursor.node, other_cursor.node);
  EXPECT_EQ(cache_.evictable(), 0);
  EXPECT_EQ(manager_.reference_count(one.table().blocks()[0]), 3);
}

TEST_F(PrefixCacheTest, APartOfABlockIsCopiedBeforeItIsWrittenTo) {
  run(counting(100, 8));  // one full block and three tokens
  Sequence sequence(manager_);
  sequence.replace(std::vector<TokenId>{100, 101, 102, 103, 104, 105, 9, 9, 9});
  PrefixCache::Cursor cursor = cache_.root({});
  EXPECT_EQ(cache_.attach(sequence, cursor), 6);
  const BlockId shared = sequence.table().blocks()[1];
  sequence.table().append(2, copies_);
  ASSERT_EQ(copies_.size(), 1U);
  EXPECT_EQ(copies_[0].from, shared);
  EXPECT_NE(sequence.table().blocks()[1], shared);
  EXPECT_EQ(found(counting(100, 8)), 7);  // what was there is there
}

TEST_F(PrefixCacheTest, ABlockThatWentOnReplacesThePart) {
  run(counting(100, 7));
  EXPECT_EQ(cache_.size(), 2);
  run(counting(100, 10));
  EXPECT_EQ(cache_.size(), 3);  // 4, 4 and 1; the part of 2 is gone
  EXPECT_EQ(found(counting(100, 10)), 9);
}

TEST_F(PrefixCacheTest, TheLeastRecentlyUsedIsForgottenFirstAndEndsBeforeBeginnings) {
  run(counting(100, 9));                  // 2 blocks
  run(counting(200, 17));                 // 4 blocks
  EXPECT_EQ(found(counting(100, 9)), 8);  // used again
  EXPECT_TRUE(cache_.make_room(11));      // one block too few were free
  EXPECT_EQ(found(counting(200, 17)), 12);
  EXPECT_EQ(found(counting(100, 9)), 8);
  EXPECT_TRUE(cache_.make_room(13));
  EXPECT_EQ(found(counting(200, 17)), 4);
  EXPECT_EQ(found(counting(100, 9)), 8);
  EXPECT_TRUE(cache_.make_room(16));
  EXPECT_EQ(cache_.size(), 0);
  EXPECT_EQ(manager_.free_blocks(), 16);
}

TEST_F(PrefixCacheTest, WhatIsInUseStays) {
  run(counting(100, 13));
  Sequence sequence(manager_);
  sequence.replace(counting(100, 9));
  PrefixCache::Cursor cursor = cache_.root({});
  EXPECT_EQ(cache_.attach(sequence, cursor), 8);
  EXPECT_FALSE(cache_.make_room(16));
  EXPECT_EQ(cache_.size(), 2);
  EXPECT_EQ(manager_.free_blocks(), 14);
  sequence.table().clear();
  EXPECT_TRUE(cache_.make_room(16));
}

// Against a plain list of the texts that went through: never more than is common with one of them, exactly
// the longest as long as nothing had to be forgotten, and every block accounted for.
TEST_F(PrefixCacheTest, RandomTextsFindWhatTheyShareAndNothingElse) {
  std::mt19937 random(17);
  for (const std::int64_t blocks : {24, 4000}) {
    BlockManager manager(blocks, kSize);
    PrefixCache cache(manager);
    std::vector<std::pair<std::string, std::vector<TokenId>>> past;
    std::int64_t shared = 0;
    for (int round = 0; round < 600; ++round) {
      const std::string salt = random() % 2 == 0 ? "a" : "b";
      std::vector<TokenId> tokens;
      if (!past.empty() && random() % 3 > 0) {
        const auto& earlier = past[random() % past.size()].second;
        tokens.assign(earlier.begin(),
                      earlier.begin() + static_cast<std::ptrdiff_t>(random() % earlier.size()));
      }
      const std::size_t more = 1 + random() % 20;
      for (std::size_t i = 0; i < more; ++i) tokens.push_back(static_cast<TokenId>(random() % 3));
      if (tokens.size() > 60) tokens.resize(60);
      std::int64_t longest = 0;
      for (const auto& [other_salt, other] : past) {
        if (other_salt != salt) continue;
        // The last token of a text is not computed.
        const auto known = std::span(other).first(other.size() - 1);
        const auto wanted = std::span(tokens).first(tokens.size() - 1);
        longest = std::max<std::int64_t>(longest, std::ranges::mismatch(known, wanted).in1 - known.begin());
      }
      Sequence sequence(manager);
      sequence.replace(tokens);
      PrefixCache::Cursor cursor = cache.root(salt);
      const std::int64_t gained = cache.attach(sequence, cursor);
      ASSERT_LE(gained, longest);
      // Of thousands of blocks with one parent only the latest are looked at for a part.
      if (blocks == 4000) {
        ASSERT_GE(gained, longest / kSize * kSize);
      }
      shared += gained;
      const std::int64_t left = sequence.length() - 1 - sequence.cached();
      std::vector<BlockCopy> copies;
      ASSERT_TRUE(cache.make_room(sequence.table().blocks_needed(left)));
      sequence.table().append(left, copies);
      cache.store(sequence, cursor, true);
      sequence.table().clear();
      ASSERT_EQ(manager.free_blocks() + cache.size(), manager.num_blocks());
      ASSERT_EQ(cache.evictable(), cache.size());
      past.emplace_back(salt, tokens);
    }
    EXPECT_GT(shared, 500);
    cache.clear();
    EXPECT_EQ(manager.free_blocks(), manager.num_blocks());
  }
}

}  // namespace
}  // namespace tessera::engine
