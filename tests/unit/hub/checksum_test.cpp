#include "hub/checksum.h"

#include <gtest/gtest.h>

namespace tessera::hub {
namespace {

std::string sum(ChecksumKind kind, const std::string& text) {
  Checksum checksum(kind, text.size());
  for (const char c : text) checksum.update({&c, 1});
  return checksum.finish();
}

// FIPS 180-2, appendix B; and what `git hash-object` prints.
TEST(ChecksumTest, KnownValues) {
  EXPECT_EQ(sum(ChecksumKind::sha256, "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sum(ChecksumKind::sha256, ""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sum(ChecksumKind::git_sha1, "hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(sum(ChecksumKind::git_sha1, ""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_EQ(sum(ChecksumKind::none, "abc"), "");
}

}  // namespace
}  // namespace tessera::hub
