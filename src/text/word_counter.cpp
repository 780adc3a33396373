#include "text/word_counter.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>

#include "base/error.h"
#include "base/thread_pool.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace tessera::text {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20U;

bool is_ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// A newline behind a letter begins a piece under every pattern: letters are never followed by white space
// within a piece, and none looks ahead from a letter.
std::size_t cut_after(std::string_view text, std::size_t wanted) {
  for (std::size_t at = wanted; at < text.size(); ++at) {
    if (text[at] == '\n' && is_ascii_letter(text[at - 1])) return at;
  }
  return text.size();
}

void add_chunks(std::string_view text, std::vector<std::string_view>& chunks) {
  while (!text.empty()) {
    const std::size_t end = text.size() <= kChunkBytes ? text.size() : cut_after(text, kChunkBytes);
    chunks.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// Finds separators one after the other; each is looked for only once it has been passed.
class SeparatorFinder {
 public:
  SeparatorFinder(std::string_view text, std::span<const std::string> separators)
      : text_(text), separators_(separators), next_(separators.size(), 0) {
    for (std::size_t i = 0; i < separators.size(); ++i) next_[i] = text.find(separators[i]);
  }

  // The first from `from` on, the longest of those that begin there; the text's end when there is none.
  TextRange find(std::size_t from) {
    TextRange found{text_.size(), text_.size()};
    for (std::size_t i = 0; i < separators_.size(); ++i) {
      if (next_[i] < from) next_[i] = text_.find(separators_[i], from);
      if (next_[i] == std::string_view::npos) continue;
      const TextRange range{next_[i], next_[i] + separators_[i].size()};
      if (range.begin < found.begin || (range.begin == found.begin && range.end > found.end)) found = range;
    }
    return found;
  }

 private:
  std::string_view text_;
  std::span<const std::string> separators_;
  std::vector<std::size_t> next_;
};

class Counts {
 public:
  void add(std::string_view word, std::uint64_t count) {
    if (const auto known = index_.find(word)) {
      words_[static_cast<std::size_t>(*known)].count += count;
      return;
    }
    index_.insert(word, static_cast<TokenId>(words_.size()));
    words_.push_back({std::string(word), count});
  }
  void scan(std::string_view text, const WordCutter& cut) {
    std::string repaired;
    if (!is_valid_utf8(text)) {
      repaired = replace_ill_formed(text);
      text = repaired;
    }
    cut(text, [this](std::string_view word) { add(word, 1); });
  }
  std::vector<WordCount>& words() { return words_; }

 private:
  StringMap index_;
  std::vector<WordCount> words_;
};

}  // namespace

std::vector<WordCount> count_words(std::span<const std::string_view> texts, const WordPattern& pattern,
                                   std::span<const std::string> separators, const ProgressSink& progress) {
  const auto cut = [&](std::string_view text, const std::function<void(std::string_view)>& take) {
    WordScanner scanner(pattern, text);
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = scanner.next(begin);
      take(text.substr(begin, end - begin));
      begin = end;
    }
  };
  return count_words(texts, WordCutter(cut), separators, progress);
}

std::vector<WordCount> count_words(std::span<const std::string_view> texts, const WordCutter& cut,
                                   std::span<const std::string> separators, const ProgressSink& progress) {
  std::vector<std::string_view> chunks;
  Progress record{.stage = "count", .subject = "words"};
  for (const std::string_view text : texts) {
    record.total += text.size();
    SeparatorFinder finder(text, separators);
    for (std::size_t begin = 0; begin < text.size();) {
      const TextRange separator = finder.find(begin);
      add_chunks(text.substr(begin, separator.begin - begin), chunks);
      begin = separator.end;
    }
  }
  const auto start = std::chrono::steady_clock::now();
  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // guards all and record
  Counts all;
  thread_pool().parallel_for(thread_pool().size(), 1, [&](std::int64_t, std::int64_t) {
    Counts own;
    for (std::size_t i = next++; i < chunks.size(); i = next++) {
      own.scan(chunks[i], cut);
      const std::lock_guard lock(mutex);
      record.done += chunks[i].size();
      record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      record.per_second = record.seconds > 0 ? static_cast<double>(record.done) / record.seconds : 0;
      if (progress) progress(record);
    }
    const std::lock_guard lock(mutex);
    for (const WordCount& word : own.words()) all.add(word.bytes, word.count);
  });
  std::vector<WordCount> words = std::move(all.words());
  std::ranges::sort(words, [](const WordCount& left, const WordCount& right) {
    return left.count != right.count ? left.count > right.count : left.bytes < right.bytes;
  });
  return words;
}

}  // namespace tessera::text
