#include "engine/prompt_lookup.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tessera::engine {
namespace {

using Match = PromptLookup::Match;

// The same by looking at every place.
Match scan(std::span<const TokenId> tokens) {
  const auto end = static_cast<std::int64_t>(tokens.size());
  for (const std::int64_t wanted : PromptLookup::kLengths) {
    for (std::int64_t next = end - 1; next >= wanted; --next) {
      std::int64_t same = 0;
      while (same < next && same < PromptLookup::kLongestMatch &&
             tokens[static_cast<std::size_t>(next - 1 - same)] ==
                 tokens[static_cast<std::size_t>(end - 1 - same)]) {
        ++same;
      }
      if (same >= wanted) return {next, same};
    }
  }
  return {};
}

void expect_equal(const Match& found, const Match& expected, std::size_t at) {
  EXPECT_EQ(found.next, expected.next) << "after " << at;
  EXPECT_EQ(found.length, expected.length) << "after " << at;
}

TEST(PromptLookup, NothingIsFoundInNothingAndInTextWithoutRepeats) {
  PromptLookup lookup;
  EXPECT_EQ(lookup.find({}).length, 0);
  lookup.extend({});
  EXPECT_EQ(lookup.find({}).length, 0);
  const std::vector<TokenId> tokens{1, 2, 3, 4, 5, 6, 7, 8, 9};
  lookup.extend(tokens);
  EXPECT_EQ(lookup.find(tokens).length, 0);
}

TEST(PromptLookup, TheLongestNgramGoesBeforeTheLatest) {
  //                                 0  1  2  3  4  5  6  7  8  9 10 11
  const std::vector<TokenId> tokens{7, 1, 2, 3, 8, 9, 2, 3, 4, 1, 2, 3};
  PromptLookup lookup;
  lookup.extend(tokens);
  expect_equal(lookup.find(tokens), {4, 3}, 12);  // "1 2 3", not the later "2 3"
  const auto shorter = std::span(tokens).first(8);
  PromptLookup other;
  other.extend(shorter);
  expect_equal(other.find(shorter), {4, 2}, 8);
}

TEST(PromptLookup, FindsWhatAScanFinds) {
  std::mt19937 random(5);
  for (const int alphabet : {2, 3, 8, 60}) {
    std::vector<TokenId> tokens;
    PromptLookup lookup;
    double agreed = 0;
    double asked = 0;
    while (tokens.size() < 700) {
      const auto most = std::min<std::size_t>(tokens.size(), 40);
      if (random() % 4 == 0 && most > 0) {  // a copy of an earlier piece
        const std::size_t from = random() % tokens.size();
        for (std::size_t i = 0; i < random() % most; ++i) tokens.push_back(tokens[from + i]);
      }
      tokens.push_back(static_cast<TokenId>(random() % static_cast<unsigned>(alphabet)));
      lookup.extend(tokens);
      const Match match = lookup.find(tokens);
      const Match best = scan(tokens);
      asked += 1;
      agreed += match.next == best.next && match.length == best.length ? 1 : 0;
      for (std::int64_t i = 1; i <= match.length; ++i) {
        ASSERT_EQ(tokens[static_cast<std::size_t>(match.next - i)],
                  tokens[tokens.size() - static_cast<std::size_t>(i)]);
      }
    }
    // Two n-grams may share a slot of the index; then only the later one is found. Four slots a token.
    EXPECT_GE(agreed, asked * 0.9) << alphabet;
  }
}

TEST(PromptLookup, ManyTokensAtOnceAndOneByOneGiveTheSame) {
  std::mt19937 random(11);
  std::vector<TokenId> tokens;
  for (int i = 0; i < 5000; ++i) tokens.push_back(static_cast<TokenId>(random() % 6));
  PromptLookup at_once;
  at_once.extend(tokens);
  PromptLookup piecewise;
  for (std::size_t size = 0; size <= tokens.size(); size += 1 + random() % 7) {
    piecewise.extend(std::span(tokens).first(size));
  }
  piecewise.extend(tokens);
  expect_equal(at_once.find(tokens), piecewise.find(tokens), tokens.size());
  EXPECT_GE(at_once.find(tokens).length, 3);
}

}  // namespace
}  // namespace tessera::engine
