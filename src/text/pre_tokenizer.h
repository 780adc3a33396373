// Cuts a normalized text into the words that the model works on.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/regex.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/word_scanner.h"

namespace tessera::text {

enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

// The steps, named as in tokenizer.json.
struct SplitPattern {
  std::optional<WordPattern> word_pattern;  // scanned by hand; or
  std::shared_ptr<const Regex> regex;       // matched; or
  std::string literal;                      // looked for
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;
};
struct SplitCharacters {  // Digits, Punctuation, WhitespaceSplit, CharDelimiterSplit
  bool (*is_match)(CodePoint code_point) = nullptr;
  CodePoint delimiter = 0;  // when is_match is null
  SplitBehavior behavior = SplitBehavior::isolated;
};
struct WordsAndSymbols {};     // Whitespace: \w+|[^\w\s]+
struct GroupDigitsFromRight {  // runs of N (or of Nd) in threes that end where the run ends: 12 345 678
  bool decimal_only = false;
  bool before_word_border = false;  // only runs that no word character follows
};
struct CutBeforeThrees {};  // (?=(\d{3})+(?!\d)): before digits whose number, up to the next other character,
                            // is a multiple of three; without a regex engine's quadratic time
struct TrailingSpaces {};   // \s+$ without the quadratic time a regex engine takes
struct FixedLength {
  std::size_t characters = 5;
};
struct ByteLevelWords {
  bool add_prefix_space = false;
  bool use_regex = true;       // GPT-2's pattern
  bool map_characters = true;  // false: words stay raw bytes (no step follows that would look at them)
};
struct Metaspace {
  std::string replacement = "\xe2\x96\x81";  // U+2581
  enum class Prepend { always, first, never };
  Prepend prepend = Prepend::always;
  bool split = true;
};

using PreTokenizerStep =
    std::variant<SplitPattern, SplitCharacters, WordsAndSymbols, GroupDigitsFromRight, CutBeforeThrees,
                 TrailingSpaces, FixedLength, ByteLevelWords, Metaspace>;

// A text on its way: `pieces` cut `text`, which is the caller's or, once a step has changed it, `storage`.
struct PreTokenizedText {
  PreTokenizedText() = default;
  PreTokenizedText(const PreTokenizedText&) = delete;
  PreTokenizedText& operator=(const PreTokenizedText&) = delete;

  std::string_view text;
  std::string storage;
  std::vector<TextRange> pieces;
  bool at_start = true;          // the first piece begins where the whole input begins
  bool byte_characters = false;  // the text is spelled in byte characters
};

class PreTokenizer {
 public:
  void add(PreTokenizerStep step);
  bool empty() const { return steps_.empty(); }
  // ByteLevel is among the steps: the model's words are bytes.
  bool is_byte_level() const;
  // Call when all steps are there. When ByteLevel comes last nothing looks at its byte characters: words then
  // stay raw bytes.
  void finish();

  // The pattern that alone cuts the text into words of raw bytes, when there is nothing else to do; else
  // nullptr.
  const WordPattern* only_pattern() const;

  // Runs all steps over `text`, whose `pieces` hold one range (or more). Linear time but for hostile regexes.
  void apply(PreTokenizedText& text) const;

 private:
  void join_numbers_and_words();

  std::vector<PreTokenizerStep> steps_;
};

}  // namespace tessera::text
