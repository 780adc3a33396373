// Blocks on disk: what is written is read back to the byte or not at all, after a restart too; an engine with
// the tier gives the same text as one without, whatever becomes of the files.
#include "engine/disk_block_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/model_identity.h"
#include "engine_fixture.h"
#include "support/test_paths.h"

namespace tessera::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::int64_t kSize = 4;  // tokens of a block
constexpr std::uint64_t kBytes = 1000;

class DiskBlockCacheTest : public ::testing::Test {
 protected:
  std::unique_ptr<DiskBlockCache> open(std::uint64_t most = 1 << 20, const std::string& model = "m",
                                       const std::string& layout = "l") const {
    return std::make_unique<DiskBlockCache>(DiskCacheOptions{folder(), most, model}, layout, kSize, kBytes);
  }
  std::string folder() const { return (folder_.path() / "kv").string(); }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& file : fs::recursive_directory_iterator(folder())) {
      if (file.is_regular_file()) found.push_back(file.path());
    }
    std::ranges::sort(found);
    return found;
  }
  static std::vector<std::byte> bytes_of(std::span<const TokenId> tokens) {
    return std::vector<std::byte>(kBytes, static_cast<std::byte>(tokens.back()));
  }
  // Blocks of a text, its last and part full one too.
  static void put(DiskBlockCache& disk, const std::string& salt, std::span<const TokenId> text) {
    BlockKey parent = root_block_key(salt);
    while (!text.empty()) {
      const auto own = text.first(std::min<std::size_t>(kSize, text.size()));
      disk.put({parent, {own.begin(), own.end()}, 0}, bytes_of(own));
      parent = block_key(parent, own);
      text = text.subspan(own.size());
    }
    disk.wait_until_written();
  }
  static std::vector<std::size_t> indices(const std::vector<StagedBlock>& staged) {
    std::vector<std::size_t> all;
    for (const StagedBlock& block : staged) all.push_back(block.index);
    return all;
  }

  tessera::testing::TemporaryFolder folder_;
  const std::vector<TokenId> text_ = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
};

TEST_F(DiskBlockCacheTest, WhatWasWrittenIsReadAfterARestart) {
  put(*open(), "ada", text_);
  EXPECT_EQ(files().size(), 3U);
  for (const auto& file : files()) EXPECT_EQ(fs::status(file).permissions(), fs::perms(0600));
  const auto disk = open();
  std::vector<TokenId> longer = text_;
  longer.insert(longer.end(), {11, 12, 13});
  const auto staged = disk->read_prefix("ada", longer);
  ASSERT_THAT(indices(staged), ElementsAre(0, 1, 2));
  for (const StagedBlock& block : staged) EXPECT_EQ(block.bytes, bytes_of(block.tokens));
  EXPECT_THAT(staged[2].tokens, ElementsAre(9, 10));
  EXPECT_THAT(disk->read_prefix("bob", longer), IsEmpty());  // another salt
  EXPECT_THAT(open(1 << 20, "another model")->read_prefix("ada", longer), IsEmpty());
  EXPECT_THAT(open(1 << 20, "m", "another layout")->read_prefix("ada", longer), IsEmpty());
}

TEST_F(DiskBlockCacheTest, ATextThatGoesOnDifferentlyGetsWhatItShares) {
  const auto disk = open();
  put(*disk, "", text_);
  const std::vector<TokenId> other = {1, 2, 3, 4, 5, 6, 99, 98};
  const auto staged = disk->read_prefix("", other);
  ASSERT_THAT(indices(staged), ElementsAre(0, 1));
  EXPECT_THAT(staged[1].tokens, ElementsAre(5, 6, 7, 8));  // of which the first two are its own
  // Never the last token, whose logits are wanted.
  EXPECT_THAT(indices(disk->read_prefix("", std::vector<TokenId>{1, 2, 3, 4})), ElementsAre(0));
  EXPECT_THAT(disk->read_prefix("", std::vector<TokenId>{1}), IsEmpty());
}

TEST_F(DiskBlockCacheTest, WhatMemoryHoldsIsNotRead) {
  const auto disk = open();
  put(*disk, "", text_);
  const BlockKey first = block_key(root_block_key(""), std::span(text_).first(4));
  disk->entered_memory(first);
  EXPECT_THAT(indices(disk->read_prefix("", text_)), ElementsAre(1, 2));
  disk->left_memory(first);
  EXPECT_THAT(indices(disk->read_prefix("", text_)), ElementsAre(0, 1, 2));
}

TEST_F(DiskBlockCacheTest, ALongerBlockTakesThePlaceOfItsBeginning) {
  const auto disk = open();
  put(*disk, "", std::span(text_).first(6));
  put(*disk, "", std::span(text_).first(8));
  EXPECT_EQ(files().size(), 2U);
  EXPECT_TRUE(disk->has({block_key(root_block_key(""), std::span(text_).first(4)), {5, 6}, 0}));
}

TEST_F(DiskBlockCacheTest, EveryFlippedByteAndEveryTruncationIsFoundOut) {
  put(*open(), "", std::span(text_).first(4));
  const fs::path file = files().front();
  std::ifstream in(file, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  const auto rewrite = [&](const std::string& content) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
  };
  const std::vector<TokenId> asked = {1, 2, 3, 4, 5};
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    rewrite(changed);
    ASSERT_THAT(open()->read_prefix("", asked), IsEmpty()) << "byte " << at;
    ASSERT_THAT(files(), IsEmpty()) << "byte " << at;  // a damaged file goes
    rewrite(whole.substr(0, at));
    ASSERT_THAT(open()->read_prefix("", asked), IsEmpty()) << "cut to " << at;
  }
  rewrite(whole + "x");
  EXPECT_THAT(open()->read_prefix("", asked), IsEmpty());
  rewrite(whole);
  EXPECT_EQ(open()->read_prefix("", asked).size(), 1U);
}

TEST_F(DiskBlockCacheTest, DamageBehindItsBackIsFoundOutToo) {
  const auto disk = open();
  put(*disk, "", text_);
  fs::remove(files()[1]);
  const auto staged = disk->read_prefix("", text_);
  EXPECT_LT(staged.size(), 3U);
  for (const StagedBlock& block : staged) EXPECT_EQ(block.bytes, bytes_of(block.tokens));
}

TEST_F(DiskBlockCacheTest, TheSizeIsBoundedAndTheOldestGo) {
  const auto disk = open(10 * 1200);
  for (TokenId text = 1; text <= 30; ++text) {
    put(*disk, "", std::vector<TokenId>{text, 2, 3, 4});
    // One is asked for again and again.
    EXPECT_EQ(disk->read_prefix("", std::vector<TokenId>{1, 2, 3, 4, 5}).size(), 1U) << text;
    EXPECT_LE(disk->bytes(), 10U * 1200);
  }
  std::uint64_t together = 0;
  for (const fs::path& file : files()) together += fs::file_size(file);
  EXPECT_EQ(together, disk->bytes());
  EXPECT_EQ(disk->read_prefix("", std::vector<TokenId>{30, 2, 3, 4, 5}).size(), 1U);
  EXPECT_THAT(disk->read_prefix("", std::vector<TokenId>{2, 2, 3, 4, 5}), IsEmpty());
  // Files of other models count, and go first.
  EXPECT_LE(open(5 * 1200, "another")->bytes(), 10U * 1200);
  const auto other = open(5 * 1200, "another");
  put(*other, "", text_);
  EXPECT_LE(other->bytes(), 5U * 1200);
  EXPECT_EQ(other->read_prefix("", text_).size(), 3U);
}

TEST_F(DiskBlockCacheTest, WhatCannotBeWrittenIsNotKeptAndNothingElseHappens) {
  const auto disk = open();
  put(*disk, "", std::span(text_).first(4));
  fs::remove_all(folder());
  put(*disk, "", text_);
  EXPECT_THAT(disk->read_prefix("", text_), IsEmpty());
  EXPECT_EQ(disk->bytes(), 0U);
}

TEST_F(DiskBlockCacheTest, AFolderThatCannotBeMadeIsAnError) {
  std::ofstream(folder()) << "a file";
  EXPECT_THROW(open(), Error);
  EXPECT_THROW(DiskBlockCache(DiskCacheOptions{folder(), 10, "m"}, "l", kSize, kBytes), Error);
}

// An engine on the toy model, started again and again on the same folder.
class DiskTierTest : public ::testing::Test {
 protected:
  GenerationResult answer(const std::string& prompt, bool with_disk, std::int64_t cache_tokens = 256) {
    EngineOptions options;
    options.context_size = 128;
    options.cache_tokens = cache_tokens;
    if (with_disk) options.disk_cache = DiskCacheOptions{folder(), 1 << 30, "toy"};
    Engine engine(testing::toy(), options);
    EngineRequest asked = testing::letters(prompt, 7, 20);
    asked.salt = "ada";
    GenerationResult result = engine.run(asked).front();
    engine.stop();
    return result;
  }
  std::string folder() const { return (folder_.path() / "kv").string(); }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    for (const auto& file : fs::recursive_directory_iterator(folder())) {
      if (file.is_regular_file()) found.push_back(file.path());
    }
    return found;
  }
  tessera::testing::TemporaryFolder folder_;
  const std::string prompt_ = "abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd";
};

TEST_F(DiskTierTest, AfterARestartOnlyWhatIsNewIsComputed) {
  const GenerationResult alone = answer(prompt_, false);
  const GenerationResult first = answer(prompt_, true);
  EXPECT_EQ(first.text, alone.text);
  EXPECT_EQ(first.usage.cached_tokens, 0);
  const GenerationResult again = answer(prompt_, true);
  EXPECT_EQ(again.text, alone.text);
  EXPECT_EQ(again.usage.cached_tokens, again.usage.prompt_tokens - 1);
  // The conversation goes on: to the token, all but what is new.
  const std::string next = prompt_ + alone.text + "dcb";
  const GenerationResult expected = answer(next, false);
  const GenerationResult continued = answer(next, true);
  EXPECT_EQ(continued.text, expected.text);
  EXPECT_EQ(continued.usage.prompt_tokens - continued.usage.cached_tokens, 3 + 1);
  // After an undo, too: another ending.
  const GenerationResult other = answer(prompt_ + "dd", true);
  EXPECT_EQ(other.text, answer(prompt_ + "dd", false).text);
  EXPECT_GE(other.usage.cached_tokens, static_cast<std::int64_t>(prompt_.size()));
}

TEST_F(DiskTierTest, DamagedFilesAreComputedAgainToTheSameText) {
  const GenerationResult alone = answer(prompt_, false);
  std::mt19937 random(20261);
  for (int round = 0; round < 12; ++round) {
    answer(prompt_, true);
    for (const fs::path& file : files()) {
      const auto size = static_cast<std::size_t>(fs::file_size(file));
      if (random() % 2 == 0) {
        fs::resize_file(file, random() % size);
      } else {
        std::fstream change(file, std::ios::binary | std::ios::in | std::ios::out);
        change.seekp(static_cast<std::streamoff>(100 + random() % (size - 100)));
        change.put(static_cast<char>(random()));
      }
      if (random() % 3 == 0) break;  // the others are whole
    }
    EXPECT_EQ(answer(prompt_, true).text, alone.text) << round;
  }
}

TEST_F(DiskTierTest, BlocksThatMemoryHasNoRoomForComeBack) {
  EngineOptions options;
  options.context_size = 64;
  options.cache_tokens = 96;  // one conversation and a half
  options.disk_cache = DiskCacheOptions{folder(), 1 << 30, "toy"};
  Engine engine(testing::toy(), options);
  const std::vector<std::string> prompts = {prompt_.substr(0, 32) + "a", "dcba" + prompt_.substr(0, 29),
                                            "ccc" + prompt_.substr(0, 30)};
  std::vector<std::string> texts;
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const GenerationResult result = engine.run(testing::letters(prompts[i], 7, 20)).front();
      if (round == 0) {
        texts.push_back(result.text);
      } else {
        EXPECT_EQ(result.text, texts[i]);
      }
    }
  }
  EXPECT_GT(engine.statistics().cached_tokens, 0);
}

TEST(ModelIdentityTest, DiffersWithEveryWeightFileAndOption) {
  const tessera::testing::TemporaryFolder folder;
  const fs::path file = folder.path() / "model.gguf";
  std::string content(3 << 20, 'x');
  const auto write = [&] { std::ofstream(file, std::ios::binary | std::ios::trunc) << content; };
  write();
  const std::string before = model_identity(file.string(), "");
  EXPECT_EQ(model_identity(file.string(), ""), before);
  EXPECT_NE(model_identity(file.string(), "q4_0"), before);
  for (const std::size_t at : {std::size_t{0}, content.size() / 256 * 100, content.size() - 1}) {
    content[at] = 'y';
    write();
    EXPECT_NE(model_identity(file.string(), ""), before) << at;
    content[at] = 'x';
  }
  content += 'x';
  write();
  EXPECT_NE(model_identity(file.string(), ""), before);
}

}  // namespace
}  // namespace tessera::engine
