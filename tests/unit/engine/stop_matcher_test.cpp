#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"

namespace tessera::engine {
namespace {

struct Outcome {
  std::string text;
  std::optional<std::string> stop;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// The definition, read byte by byte over the whole text.
Outcome reference(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    const std::string* found = nullptr;
    for (const std::string& stop : stops) {
      const bool ends_here = end >= stop.size() && text.compare(end - stop.size(), stop.size(), stop) == 0;
      if (ends_here && (found == nullptr || stop.size() > found->size())) found = &stop;
    }
    if (found != nullptr) return {text.substr(0, end - found->size()), *found};
  }
  return {text, std::nullopt};
}

TEST(StopMatcher, AnyChunkingGivesWhatReadingByteByByteGives) {
  std::mt19937 random(4);
  const auto word = [&](std::size_t longest) {
    std::string text;
    for (std::size_t i = 1 + random() % longest; i > 0; --i) text += static_cast<char>('a' + random() % 2);
    return text;
  };
  int stopped = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops;
    for (std::size_t i = random() % 4; i > 0; --i) stops.push_back(word(6));
    const std::string text = word(30);
    StopMatcher matcher(stops);
    Outcome found;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = 1 + random() % 5;
      found.text += matcher.push(std::string_view(text).substr(at, length));
      at += length;
    }
    found.text += matcher.finish();
    found.stop = matcher.matched();
    EXPECT_EQ(found, reference(text, stops)) << text;
    stopped += found.stop ? 1 : 0;
  }
  EXPECT_GT(stopped, 1000);
  EXPECT_LT(stopped, 2900);
}

TEST(StopMatcher, HoldsBackOnlyWhatCouldBecomeAStop) {
  StopMatcher matcher({"\nUser:"});
  EXPECT_EQ(matcher.push("Hello\nUs"), "Hello");
  EXPECT_EQ(matcher.push("a"), "\nUsa");
  EXPECT_EQ(matcher.push(" is far\nUser"), " is far");
  EXPECT_EQ(matcher.push(": hi"), "");
  EXPECT_EQ(matcher.matched(), "\nUser:");
  EXPECT_EQ(matcher.push("more"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, WithoutStopsTextPassesThrough) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("as it is"), "as it is");
  EXPECT_EQ(matcher.finish(), "");
  EXPECT_FALSE(matcher.matched());
}

TEST(StopMatcher, WhatWasHeldBackComesAtTheEnd) {
  StopMatcher matcher({"abc"});
  EXPECT_EQ(matcher.push("xab"), "x");
  EXPECT_EQ(matcher.finish(), "ab");
}

TEST(StopMatcher, EmptyAndHugeStopsAreErrors) {
  EXPECT_THROW(StopMatcher({"a", ""}), Error);
  EXPECT_THROW(StopMatcher({std::string(100'000, 'a')}), Error);
}

}  // namespace
}  // namespace tessera::engine
