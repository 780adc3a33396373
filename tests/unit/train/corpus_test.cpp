#include "train/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "support/error_of.h"
#include "support/test_paths.h"

namespace tessera::train {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;

class CorpusTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view text) {
    const auto path = folder_.path() / name;
    std::filesystem::create_directories(path.parent_path());
    write_file_atomically(path.string(), text);
    return path.string();
  }
  static std::vector<std::string> documents(const Corpus& corpus) {
    std::vector<std::string> found;
    Corpus::Reader reader(corpus);
    RawDocument document;
    while (reader.next(document)) found.emplace_back(document.bytes);
    EXPECT_EQ(corpus.count_documents(), found.size());
    return found;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(CorpusTest, ATextFileIsOneDocumentOrWhatStandsBetweenSeparators) {
  const std::string path = write("a.txt", "one\n\ntwo<|sep|>\n<|sep|>three<|sep|>");
  EXPECT_THAT(documents(Corpus({path}, {})), ElementsAre("one\n\ntwo<|sep|>\n<|sep|>three<|sep|>"));
  EXPECT_THAT(documents(Corpus({path}, {.document_separator = "<|sep|>"})),
              ElementsAre("one\n\ntwo", "three"));
}

TEST_F(CorpusTest, LinesOfJsonAreDocumentsThatKnowTheirLine) {
  const std::string path = write("a.jsonl", "{\"text\":1}\r\n\n  \n{\"text\":2}\n{\"text\":3}");
  const Corpus corpus({path}, {});
  EXPECT_FALSE(corpus.has_chat());
  Corpus::Reader reader(corpus);
  RawDocument document;
  std::vector<std::uint64_t> lines;
  while (reader.next(document)) {
    EXPECT_EQ(document.format, CorpusFormat::jsonl);
    lines.push_back(document.line);
  }
  EXPECT_THAT(lines, ElementsAre(1, 4, 5));
  EXPECT_EQ(document.where(), path + ": line 5");
}

TEST_F(CorpusTest, ConversationsAreToldByTheFirstLineOrTheFilesName) {
  EXPECT_TRUE(Corpus({write("a.jsonl", "\n{\"messages\": []}\n")}, {}).has_chat());
  EXPECT_TRUE(Corpus({write("b.ndjson", "{\"conversations\": []}\n")}, {}).has_chat());
  EXPECT_TRUE(Corpus({write("c.chatml", "<|im_start|>user\nx<|im_end|>")}, {}).has_chat());
  EXPECT_TRUE(Corpus({write("d.txt", "{}")}, {.format = CorpusFormat::chat}).has_chat());
  EXPECT_FALSE(Corpus({write("e.txt", "{\"messages\": []}")}, {}).has_chat());
}

TEST_F(CorpusTest, ChatMlConversationsEndAtEmptyLinesAndBeginAtSystemMessages) {
  const std::string first = "<|im_start|>user\na\n\nb<|im_end|>\n<|im_start|>assistant\nc<|im_end|>\n\n";
  const std::string second = "<|im_start|>user\nd<|im_end|>\n<|im_start|>assistant\ne<|im_end|>\n";
  const std::string third = "<|im_start|>system\nf<|im_end|>\n<|im_start|>user\ng<|im_end|>\n";
  EXPECT_THAT(documents(Corpus({write("a.chatml", first + second + third)}, {})),
              ElementsAre(first, second, third));
}

TEST_F(CorpusTest, AFolderGivesItsFilesByName) {
  write("sub/b.txt", "second");
  write("a.md", "first");
  write("sub/c.png", "not read");
  write("empty.txt", " \n");
  const Corpus corpus({folder_.path().string()}, {});
  EXPECT_THAT(documents(corpus), ElementsAre("first", "second"));
  EXPECT_EQ(corpus.bytes(), 11U);
  EXPECT_EQ(corpus.file_count(), 2U);
}

TEST_F(CorpusTest, SaysWhatItCannotRead) {
  EXPECT_THAT(error_of([&] { Corpus({(folder_.path() / "none.txt").string()}, {}); }), HasSubstr("none.txt"));
  EXPECT_THAT(error_of([&] { Corpus({folder_.path().string()}, {}); }), HasSubstr("found none"));
  EXPECT_THAT(error_of([&] { corpus_format("xml"); }),
              HasSubstr("auto, text, jsonl, chat, chatml, found 'xml'"));
}

}  // namespace
}  // namespace tessera::train
