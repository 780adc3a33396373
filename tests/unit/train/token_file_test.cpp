#include "train/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/xxhash64.h"
#include "support/error_of.h"
#include "support/test_paths.h"
#include "train/token_file_writer.h"

namespace tessera::train {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;

std::string golden(const std::string& name) { return read_file(testing::golden_dir() / "train" / name); }

std::shared_ptr<const TokenFile> read(std::string bytes) {
  return TokenFile::read(MappedFile::from_bytes("test.tokens", std::move(bytes)));
}

std::string error_in(std::string bytes) {
  return error_of([&] { read(std::move(bytes)); });
}

template <typename Number>
std::string with(std::string bytes, std::size_t at, Number value) {
  const auto* from = reinterpret_cast<const char*>(&value);
  for (std::size_t i = 0; i < sizeof value; ++i) bytes.at(at + i) = from[i];
  return bytes;
}

// The same file with checksums that fit what it holds now: damage that only the other checks can find.
std::string mended(std::string bytes) {
  const std::uint64_t content = xxhash64(std::as_bytes(std::span(bytes)).subspan(kTokenFileHeaderBytes));
  bytes = with(std::move(bytes), 56, content);
  const std::uint64_t header = xxhash64(std::as_bytes(std::span(bytes)).first(72));
  return with(std::move(bytes), 72, header);
}

// What tools/make_golden_token_files.py writes.
std::vector<std::vector<TokenId>> golden_documents() {
  std::vector<std::vector<TokenId>> documents(3);
  for (int i = 0; i < 13; ++i) documents[0].push_back(i * i % 301);
  documents[1] = {300};
  for (int i = 0; i < 23; ++i) documents[2].push_back(7 * i % 301);
  return documents;
}

TEST(TokenFile, ReadsWhatAnotherProgramWroteByTheDescription) {
  const auto file = read(golden("masked_u16.tokens"));
  EXPECT_EQ(file->info().vocabulary_size, 301U);
  EXPECT_EQ(file->info().tokenizer_fingerprint, 0x0123456789ABCDEFU);
  ASSERT_EQ(file->info().token_count, 37U);
  ASSERT_EQ(file->info().document_count, 3U);
  std::uint64_t at = 0;
  std::uint64_t number = 0;
  for (const std::vector<TokenId>& document : golden_documents()) {
    EXPECT_EQ(file->document_start(number), at);
    std::vector<TokenId> ids(document.size());
    file->copy_tokens(at, ids);
    EXPECT_EQ(ids, document);
    for (std::size_t i = 0; i < ids.size(); ++i, ++at) {
      EXPECT_EQ(file->counts_in_loss(at), at % 3 == 0) << at;
      EXPECT_EQ(file->document_of(at), number) << at;
    }
    ++number;
  }
  const auto wide = read(golden("plain_u32.tokens"));
  std::vector<TokenId> ids(10);
  wide->copy_tokens(0, ids);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ids[i], i * 70000 % 100003);
  EXPECT_TRUE(wide->counts_in_loss(3));
  EXPECT_EQ(read(golden("empty.tokens"))->info().token_count, 0U);
}

class WrittenTokenFile : public ::testing::Test {
 protected:
  std::string path() const { return folder_.path() / "written.tokens"; }
  testing::TemporaryFolder folder_;
};

TEST_F(WrittenTokenFile, IsByteForByteTheGoldenOne) {
  TokenFileWriter writer(
      path(), {.vocabulary_size = 301, .tokenizer_fingerprint = 0x0123456789ABCDEF, .has_loss_mask = true});
  std::size_t at = 0;
  for (const std::vector<TokenId>& document : golden_documents()) {
    std::vector<std::uint8_t> counts;
    for (std::size_t i = 0; i < document.size(); ++i, ++at) counts.push_back(at % 3 == 0);
    writer.add_document(document, counts);
    writer.add_document({});  // leaves no trace
  }
  writer.commit();
  EXPECT_EQ(read_file(path()), golden("masked_u16.tokens"));

  TokenFileWriter wide(path(), {.vocabulary_size = 100003});
  std::vector<TokenId> ids;
  for (int i = 0; i < 10; ++i) ids.push_back(i * 70000 % 100003);
  wide.add_document(ids);
  wide.commit();
  EXPECT_EQ(read_file(path()), golden("plain_u32.tokens"));

  TokenFileWriter empty(path(), {.vocabulary_size = 5, .tokenizer_fingerprint = 1});
  empty.commit();
  EXPECT_EQ(read_file(path()), golden("empty.tokens"));
}

TEST_F(WrittenTokenFile, IsNotThereBeforeCommit) {
  {
    TokenFileWriter writer(path(), {.vocabulary_size = 10});
    writer.add_document(std::vector<TokenId>{1, 2, 3});
  }
  EXPECT_FALSE(std::filesystem::exists(path()));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(WrittenTokenFile, RefusesIdsOutsideTheVocabulary) {
  TokenFileWriter writer(path(), {.vocabulary_size = 10});
  EXPECT_THAT(error_of([&] { writer.add_document(std::vector<TokenId>{1, 10}); }),
              AllOf(HasSubstr("below 10"), HasSubstr("found 10 as token 1 of document 0")));
  TokenFileWriter other(path() + "2", {.vocabulary_size = 10});
  EXPECT_THAT(error_of([&] { other.add_document(std::vector<TokenId>{-1}); }), HasSubstr("found -1"));
}

TEST(TokenFileDamage, TruncationAtEveryByteIsAnErrorThatNamesFileAndByte) {
  const std::string whole = golden("masked_u16.tokens");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THAT(error_in(whole.substr(0, length)), AllOf(HasSubstr("test.tokens"), HasSubstr("at byte")))
        << length;
  }
  EXPECT_THAT(error_in(whole + '\0'), HasSubstr("found 241"));
}

TEST(TokenFileDamage, EveryFlippedBitIsFound) {
  const std::string whole = golden("masked_u16.tokens");
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_THAT(error_in(damaged), HasSubstr("test.tokens")) << "bit " << bit;
  }
}

TEST(TokenFileDamage, HostileHeadersWithRightChecksums) {
  const std::string whole = golden("masked_u16.tokens");
  const auto hostile = [&](std::size_t at, auto value) { return error_in(mended(with(whole, at, value))); };
  EXPECT_THAT(hostile(0, 'X'), HasSubstr("found 'XESSTOKS'"));
  EXPECT_THAT(hostile(8, std::uint32_t{2}), HasSubstr("expected version 1 of token files, found 2"));
  EXPECT_THAT(hostile(12, std::uint32_t{3}), HasSubstr("expected 2 or 4 bytes a token, found 3"));
  EXPECT_THAT(hostile(12, std::uint32_t{4}), HasSubstr("found 240"));
  for (const std::uint64_t count : {std::uint64_t{1} << 63U, ~std::uint64_t{0}, std::uint64_t{1} << 62U}) {
    EXPECT_THAT(hostile(16, count), HasSubstr("at byte 16"));
    EXPECT_THAT(hostile(24, count), HasSubstr("at byte 16"));
  }
  EXPECT_THAT(hostile(32, std::uint64_t{0}), HasSubstr("vocabulary"));
  EXPECT_THAT(hostile(32, ~std::uint64_t{0}), HasSubstr("vocabulary"));
  EXPECT_THAT(hostile(32, std::uint64_t{300}),
              HasSubstr("token 13 at byte 154: expected an id below 300, found 300"));
  EXPECT_THAT(hostile(48, std::uint32_t{3}), HasSubstr("flags"));
  EXPECT_THAT(hostile(64, std::uint64_t{1}), HasSubstr("zeros"));
  EXPECT_THAT(hostile(120, std::uint64_t{1}), HasSubstr("zeros"));
}

TEST(TokenFileDamage, DocumentStartsMustAscendWithinTheTokens) {
  const std::string whole = golden("masked_u16.tokens");
  const std::size_t starts = whole.size() - 24;
  const auto hostile = [&](std::size_t at, std::uint64_t value) {
    return error_in(mended(with(whole, at, value)));
  };
  EXPECT_THAT(hostile(starts, 1), HasSubstr("expected document 0 to begin at token 0, found token 1"));
  EXPECT_THAT(hostile(starts + 8, 0), HasSubstr("expected document 1 to begin after token 0, found token 0"));
  EXPECT_THAT(hostile(starts + 16, 13), HasSubstr("after token 13, found token 13"));
  EXPECT_THAT(hostile(starts + 16, 37), HasSubstr("found token 37 of 37"));
  EXPECT_THAT(hostile(starts + 16, ~std::uint64_t{0}), HasSubstr("document 2"));
}

TEST(TokenFileDamage, AFileThatIsNoneSaysWhatMakesOne) {
  EXPECT_THAT(error_in("{\"text\": \"no tokens\"}"), HasSubstr("`tessera data` makes one"));
}

}  // namespace
}  // namespace tessera::train
