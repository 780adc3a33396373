#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "support/test_paths.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

TEST(MappedFile, ShowsTheBytesAndOutlivesItsName) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / "data";
  write_file_atomically(path, "hello");
  const auto file = MappedFile::open(path);
  fs::remove(path);
  EXPECT_EQ(file->text(), "hello");
  EXPECT_EQ(file->path(), path);
}

TEST(MappedFile, AnEmptyFileIsAnEmptySpan) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / "empty";
  write_file_atomically(path, "");
  EXPECT_TRUE(MappedFile::open(path)->bytes().empty());
}

TEST(MappedFile, MissingFilesAndFoldersAreIoErrorsThatNameThem) {
  const testing::TemporaryFolder folder;
  for (const std::string& path : {(folder.path() / "missing").string(), folder.path().string()}) {
    try {
      (void)MappedFile::open(path);
      FAIL() << "opened " << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::io);
      EXPECT_THAT(error.what(), ::testing::HasSubstr(path));
    }
  }
}

TEST(AtomicFile, WithoutCommitNothingChanges) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / "data";
  write_file_atomically(path, "old");
  {
    AtomicFileWriter writer(path);
    writer.write("new");
  }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 1);
}

TEST(AtomicFile, CommitReplaces) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() / "data";
  write_file_atomically(path, "old");
  AtomicFileWriter writer(path);
  writer.write("ne");
  writer.write("w");
  EXPECT_EQ(read_file(path), "old");
  writer.commit();
  EXPECT_EQ(read_file(path), "new");
}

TEST(AtomicFile, AnUnwritableFolderIsAnIoError) {
  EXPECT_THROW(write_file_atomically("/no/such/folder/file", "x"), Error);
}

}  // namespace
}  // namespace tessera
