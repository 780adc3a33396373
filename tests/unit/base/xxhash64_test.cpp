#include "base/xxhash64.h"

#include <gtest/gtest.h>

#include <string>

namespace tessera {
namespace {

std::uint64_t hash(std::string_view text, std::uint64_t seed = 0) {
  return xxhash64(std::as_bytes(std::span(text)), seed);
}

// The published value of the empty text, and values of the Python package xxhash.
TEST(XxHash64, GivesTheSpecifiedValues) {
  EXPECT_EQ(hash(""), 0xEF46DB3751D8E999ULL);
  EXPECT_EQ(hash("abc"), 0x44BC2CF5AD770999ULL);
  std::string text;
  for (int repeat = 0; repeat < 2; ++repeat) {
    for (int i = 0; i < 48; ++i) text += static_cast<char>(i);
  }
  text += "12345";
  EXPECT_EQ(hash(text), 0xAF9F45CA7CBBD8B6ULL);
  EXPECT_EQ(hash(text, 7), 0x7A98141F17149CC0ULL);
  EXPECT_EQ(hash(text.substr(0, 31)), 0xC346D2B59B4D8EE1ULL);
  EXPECT_EQ(hash(text.substr(0, 32)), 0xCBF59C5116FF32B4ULL);
  EXPECT_EQ(hash(text.substr(0, 44), 1), 0x6149F6DD2FF93865ULL);
}

TEST(XxHash64, DoesNotDependOnThePieces) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 37 + i / 11);
  const std::uint64_t whole = hash(text);
  for (const std::size_t piece : {1U, 3U, 7U, 8U, 31U, 32U, 33U, 100U, 999U}) {
    XxHash64 pieces;
    for (std::size_t begin = 0; begin < text.size(); begin += piece) {
      pieces.update(std::string_view(text).substr(begin, piece));
    }
    EXPECT_EQ(pieces.digest(), whole) << "pieces of " << piece;
  }
}

}  // namespace
}  // namespace tessera
