#include "engine/block_manager.h"

#include <gtest/gtest.h>

#include <thread>

#include <map>
#include <random>

#include "base/error.h"
#include "engine/sequence.h"

namespace tessera::engine {
namespace {

TEST(BlockManager, RefusesSizesThatCannotBe) {
  EXPECT_THROW(BlockManager(0, 16), Error);
  EXPECT_THROW(BlockManager(4, 0), Error);
  EXPECT_THROW(BlockManager(-1, 16), Error);
  EXPECT_THROW(BlockManager(std::int64_t{1} << 40, 16), Error);
}

TEST(BlockManager, ABlockIsFreeAgainWithItsLastReference) {
  BlockManager manager(2, 4);
  const BlockId block = manager.allocate();
  manager.retain(block);
  manager.release(block);
  EXPECT_EQ(manager.free_blocks(), 1);
  manager.release(block);
  EXPECT_EQ(manager.free_blocks(), 2);
  EXPECT_THROW(manager.release(block), Error);
  EXPECT_THROW(manager.retain(block), Error);
}

TEST(BlockManager, AnEmptyPoolIsALimit) {
  BlockManager manager(1, 4);
  manager.allocate();
  try {
    manager.allocate();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::limit);
  }
}

TEST(BlockTable, AppendThatDoesNotFitChangesNothing) {
  BlockManager manager(3, 4);
  BlockTable table(manager);
  std::vector<BlockCopy> copies;
  table.append(5, copies);
  EXPECT_THROW(table.append(8, copies), Error);
  EXPECT_EQ(table.length(), 5);
  EXPECT_EQ(manager.free_blocks(), 1);
  table.append(7, copies);  // exactly to the end
  EXPECT_EQ(manager.free_blocks(), 0);
  EXPECT_TRUE(copies.empty());
}

TEST(BlockTable, WritingToASharedLastBlockCopiesItOnce) {
  BlockManager manager(8, 4);
  BlockTable one(manager);
  std::vector<BlockCopy> copies;
  one.append(6, copies);
  BlockTable two = one.fork();
  EXPECT_EQ(manager.free_blocks(), 6);
  EXPECT_EQ(two.blocks_needed(1), 1);
  two.append(1, copies);
  ASSERT_EQ(copies.size(), 1U);
  EXPECT_EQ(copies[0], (BlockCopy{one.blocks()[1], two.blocks()[1]}));
  EXPECT_EQ(one.blocks()[0], two.blocks()[0]);
  one.append(1, copies);  // it is one's alone again
  EXPECT_EQ(copies.size(), 1U);
}

TEST(BlockTable, AFullSharedBlockIsNotCopied) {
  BlockManager manager(8, 4);
  BlockTable one(manager);
  std::vector<BlockCopy> copies;
  one.append(4, copies);
  BlockTable two = one.fork();
  two.append(1, copies);
  EXPECT_TRUE(copies.empty());
  EXPECT_EQ(two.blocks().size(), 2U);
}

// Random operations on many tables against plain vectors of values: "memory" holds for each slot what was
// written last; every table must always read back its own tokens.
class BlockTableModel {
 public:
  explicit BlockTableModel(std::uint32_t seed) : random_(seed) {}

  void step() {
    const std::size_t action = random_() % 6;
    if (tables_.empty() || (action == 0 && tables_.size() < 8)) {
      tables_.push_back({BlockTable(manager_), {}});
    } else if (action == 1 && tables_.size() < 8) {
      Entry& source = pick();
      tables_.push_back({source.table.fork(), source.values});
    } else if (action == 2) {
      Entry& entry = pick();
      const std::size_t length = random_() % (entry.values.size() + 1);
      entry.table.truncate(static_cast<std::int64_t>(length));
      entry.values.resize(length);
    } else if (action == 3) {
      tables_.erase(tables_.begin() + static_cast<std::ptrdiff_t>(random_() % tables_.size()));
    } else {
      append(pick());
    }
  }

  void check() const {
    std::map<BlockId, int> references;
    for (const Entry& entry : tables_) {
      ASSERT_EQ(entry.table.length(), static_cast<std::int64_t>(entry.values.size()));
      for (const BlockId block : entry.table.blocks()) ++references[block];
      for (std::size_t i = 0; i < entry.values.size(); ++i) {
        ASSERT_EQ(memory_.at(entry.table.slot(static_cast<std::int64_t>(i))), entry.values[i]);
      }
    }
    for (const auto& [block, count] : references) ASSERT_EQ(manager_.reference_count(block), count);
    ASSERT_EQ(manager_.free_blocks() + static_cast<std::int64_t>(references.size()), manager_.num_blocks());
  }

  void clear() { tables_.clear(); }
  const BlockManager& manager() const { return manager_; }
  int refusals() const { return refusals_; }

 private:
  struct Entry {
    BlockTable table;
    std::vector<int> values;
  };
  Entry& pick() { return tables_[random_() % tables_.size()]; }

  void append(Entry& entry) {
    const auto count = static_cast<std::int64_t>(random_() % 14);
    std::vector<BlockCopy> copies;
    if (entry.table.blocks_needed(count) > manager_.free_blocks()) {
      ++refusals_;
      EXPECT_THROW(entry.table.append(count, copies), Error);
      EXPECT_TRUE(copies.empty());
      return;
    }
    const std::int64_t free_before = manager_.free_blocks();
    const std::int64_t needed = entry.table.blocks_needed(count);
    entry.table.append(count, copies);
    EXPECT_EQ(free_before - manager_.free_blocks(), needed);
    for (const BlockCopy& copy : copies) {
      for (int offset = 0; offset < kBlockSize; ++offset) {
        memory_[copy.to * kBlockSize + offset] = memory_[copy.from * kBlockSize + offset];
      }
    }
    for (std::int64_t i = 0; i < count; ++i) {
      entry.values.push_back(next_value_);
      memory_[entry.table.slot(static_cast<std::int64_t>(entry.values.size()) - 1)] = next_value_++;
    }
  }

  static constexpr int kBlockSize = 4;
  std::mt19937 random_;
  BlockManager manager_{24, kBlockSize};
  std::map<int, int> memory_;
  std::vector<Entry> tables_;
  int next_value_ = 0;
  int refusals_ = 0;
};

TEST(BlockTable, RandomForksRollbacksAndWritesNeverMixSequences) {
  int refusals = 0;
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    BlockTableModel model(seed);
    for (int i = 0; i < 250; ++i) {
      model.step();
      ASSERT_NO_FATAL_FAILURE(model.check()) << "seed " << seed << " step " << i;
    }
    model.clear();
    EXPECT_EQ(model.manager().free_blocks(), model.manager().num_blocks());
    refusals += model.refusals();
  }
  EXPECT_GT(refusals, 20);
}

TEST(Sequence, ReplaceKeepsTheCacheOfTheCommonPrefix) {
  BlockManager manager(16, 4);
  Sequence sequence(manager);
  for (TokenId token = 0; token < 10; ++token) sequence.append(token);
  std::vector<BlockCopy> copies;
  sequence.table().append(9, copies);  // the tenth token has not been computed
  EXPECT_EQ(sequence.replace(std::vector<TokenId>{0, 1, 2, 3, 4, 99, 6}), 5);
  EXPECT_EQ(sequence.cached(), 5);
  EXPECT_EQ(sequence.length(), 7);
  // The same again: the last token must be computed anew for its logits.
  sequence.table().append(2, copies);
  EXPECT_EQ(sequence.replace(std::vector<TokenId>{0, 1, 2, 3, 4, 99, 6}), 6);
  EXPECT_EQ(sequence.replace(std::vector<TokenId>{5}), 0);
  EXPECT_EQ(manager.free_blocks(), 16);
}

TEST(Sequence, TruncateBelowAndAboveTheCache) {
  BlockManager manager(16, 4);
  Sequence sequence(manager);
  for (TokenId token = 0; token < 10; ++token) sequence.append(token);
  std::vector<BlockCopy> copies;
  sequence.table().append(6, copies);
  sequence.truncate(8);
  EXPECT_EQ(sequence.length(), 8);
  EXPECT_EQ(sequence.cached(), 6);
  sequence.truncate(3);
  EXPECT_EQ(sequence.length(), 3);
  EXPECT_EQ(sequence.cached(), 3);
}

// Found by the engine's tests: sequences that are sampled on several threads take rejected guesses back at
// the same time, and a block was lost.
TEST(BlockManager, SequencesThatShrinkAtTheSameTimeLoseNoBlock) {
  BlockManager manager(64, 4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&manager] {
      BlockTable table(manager);
      std::vector<BlockCopy> copies;
      for (int round = 0; round < 20000; ++round) {
        table.append(16, copies);
        table.truncate(0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(manager.free_blocks(), 64);
}

}  // namespace
}  // namespace tessera::engine
