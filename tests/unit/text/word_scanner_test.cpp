// The hand-written scanners against the regular expressions they stand for, on random texts.
#include "text/word_scanner.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "base/error.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace tessera::text {
namespace {

const char* const kPatterns[] = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})",
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
};

std::string random_text(std::mt19937& random, int length) {
  static const std::vector<std::string> common = {" ",
                                                  " ",
                                                  " ",
                                                  "  ",
                                                  "\n",
                                                  "\r\n",
                                                  "\t",
                                                  "a",
                                                  "b",
                                                  "st",
                                                  "re",
                                                  "L",
                                                  "S",
                                                  "VE",
                                                  "'",
                                                  "'s",
                                                  "'LL",
                                                  "'\xc5\xbf",
                                                  "0",
                                                  "12",
                                                  "7",
                                                  ".",
                                                  ",",
                                                  "/",
                                                  "-",
                                                  "_",
                                                  "(",
                                                  "\xc2\xa0",
                                                  "\xe3\x80\x80",
                                                  "\xc2\x85",
                                                  "\xc3\xa9",
                                                  "\xc3\x89",
                                                  "\xc7\x85",
                                                  "\xca\xb0",
                                                  "\xe4\xb8\xad",
                                                  "\xcc\x81",
                                                  "\xe0\xa4\xbf",
                                                  "\xd9\xa3",
                                                  "\xc2\xbd",
                                                  "\xe2\x85\xa3",
                                                  "\xf0\x9f\xa6\x99",
                                                  "\xe2\x82\xac",
                                                  "\xef\xbf\xbd",
                                                  "\xe2\x80\xa8"};
  std::string text;
  for (int i = 0; i < length; ++i) {
    const auto choice = random() % 16;
    if (choice < 13) {
      text += common[random() % common.size()];
    } else if (choice == 13) {  // a run
      const std::string& unit = common[random() % common.size()];
      for (auto count = random() % (random() % 8 == 0 ? 700 : 20); count > 0; --count) text += unit;
    } else {
      auto c = static_cast<CodePoint>(random() % (choice == 14 ? 0x3000U : kMaximumCodePoint + 1));
      if (c >= 0xd800 && c < 0xe000) c -= 0x800;
      append_utf8(text, c);
    }
  }
  return text;
}

std::vector<std::size_t> ends_of(const WordPattern& pattern, std::string_view text) {
  std::vector<std::size_t> ends;
  WordScanner scanner(pattern, text);
  for (std::size_t begin = 0; begin < text.size(); begin = ends.back()) ends.push_back(scanner.next(begin));
  return ends;
}

// Matches and the gaps between them, of which each character is a piece of its own to the scanner.
std::vector<std::size_t> ends_of(const Regex& regex, std::string_view text) {
  std::vector<std::size_t> ends;
  std::string storage;
  const std::string_view known = Regex::with_known_characters(text, storage);
  for (std::size_t begin = 0; begin < text.size(); begin = ends.back()) {
    const auto match = regex.find(known, begin);
    EXPECT_TRUE(match && match->begin == begin) << "no match at byte " << begin;
    if (!match || match->end <= begin) return ends;
    ends.push_back(match->end);
  }
  return ends;
}

TEST(WordScanner, CutsAsTheRegularExpression) {
  std::mt19937 random(20261121);
  const char* const wanted = std::getenv("TESSERA_SLOW_TESTS");
  const int rounds = wanted == nullptr ? 150 : 20'000;
  for (const char* source : kPatterns) {
    const auto pattern = parse_word_pattern(source);
    ASSERT_TRUE(pattern) << source;
    const Regex regex(source, "test");
    for (int round = 0; round < rounds; ++round) {
      const std::string text = random_text(random, 60);
      ASSERT_EQ(ends_of(*pattern, text), ends_of(regex, text)) << source << "\n" << printable(text, 4000);
    }
  }
}

TEST(WordScanner, CutsAroundEachNumberFirst) {
  std::mt19937 random(7);
  for (const char* source : kPatterns) {
    auto pattern = parse_word_pattern(source);
    ASSERT_TRUE(pattern);
    const WordPattern words = *pattern;
    pattern->each_number_apart = true;
    for (int round = 0; round < 100; ++round) {
      const std::string text = random_text(random, 60);
      std::vector<std::size_t> expected;
      std::size_t part = 0;  // where the text between two numbers begins
      for (std::size_t position = 0; position <= text.size();) {
        const bool at_end = position == text.size();
        const DecodedCharacter here = at_end ? DecodedCharacter{} : decode_character(text, position);
        if (at_end || is_numeric(here.code_point)) {
          for (const std::size_t end : ends_of(words, std::string_view(text).substr(part, position - part)))
            expected.push_back(part + end);
          if (at_end) break;
          expected.push_back(part = position + here.length);
        }
        position += here.length;
      }
      ASSERT_EQ(ends_of(*pattern, text), expected) << source << "\n" << printable(text, 4000);
    }
  }
}

TEST(WordScanner, LeavesOtherPatternsToTheRegexEngine) {
  EXPECT_FALSE(parse_word_pattern(R"(\p{L}+|\s+)"));
  EXPECT_FALSE(parse_word_pattern(std::string(kPatterns[0]) + "|x"));
  EXPECT_FALSE(parse_word_pattern(""));
}

// Sizes around every border of Jais 2's ladder, with and without a word behind.
TEST(WordScanner, TakesSpacesInPowersOfTwo) {
  const auto pattern = parse_word_pattern(kPatterns[9]);
  ASSERT_TRUE(pattern && pattern->spaces_by_powers);
  const Regex regex(kPatterns[9], "test");
  for (std::size_t count = 1; count < 1100; ++count) {
    for (const char* end : {"", "x", "\n", ".", "7", "\n x"}) {
      const std::string text = std::string(count, ' ') + end;
      ASSERT_EQ(ends_of(*pattern, text), ends_of(regex, text)) << count << " spaces and '" << end << "'";
    }
  }
}

}  // namespace
}  // namespace tessera::text
