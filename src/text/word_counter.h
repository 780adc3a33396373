// Cuts texts into words with a pre-tokenizer's pattern and counts each, on every thread.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "text/word_scanner.h"

namespace tessera::text {

// Hands out the words of a text one after the other.
using WordCutter =
    std::function<void(std::string_view text, const std::function<void(std::string_view)>& take)>;

struct WordCount {
  std::string bytes;
  std::uint64_t count = 0;
};

// The words of `texts` as `pattern` cuts each of them, most frequent first, ties by their bytes. Where one of
// `separators` (special tokens) stands, a text ends and another begins, and the separator is no word.
// Ill-formed UTF-8 counts as U+FFFD, as encoding has it. The same result for any number of threads: long
// texts are cut for them only where every pattern of WordScanner cuts.
std::vector<WordCount> count_words(std::span<const std::string_view> texts, const WordPattern& pattern,
                                   std::span<const std::string> separators,
                                   const ProgressSink& progress = {});

// The same with any way of cutting that, like those patterns, cuts before a newline behind an ASCII letter.
std::vector<WordCount> count_words(std::span<const std::string_view> texts, const WordCutter& cut,
                                   std::span<const std::string> separators,
                                   const ProgressSink& progress = {});

}  // namespace tessera::text
