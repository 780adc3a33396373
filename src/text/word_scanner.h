// Hand-written scanners for the word patterns that nearly every byte-level model uses (GPT-2, GPT-4, Llama 3,
// Qwen, GPT-4o and their kin): the same pieces as the regular expression, in linear time, without a regex
// engine.
#pragma once
#include <cstddef>
#include <optional>
#include <string_view>

namespace tessera::text {

// The alternatives of such a pattern, in their fixed order.
struct WordPattern {
  enum class Contractions {
    none,
    lower_case,
    any_case,
    ascii_case
  };  // 's|'t|...; (?i:...); spelled out as '[sS]
  Contractions contractions = Contractions::none;
  enum class Letters {
    after_space,           //  ?\p{L}+
    after_any,             // [^\r\n\p{L}\p{N}]?\p{L}+
    after_any_with_marks,  // [^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+
    by_case,               // GPT-4o: capitals then small letters
  };
  Letters letters = Letters::after_space;
  bool contraction_suffix = false;      // by_case: (?i:'s|...)? behind the letters, instead of before
  std::size_t maximum_digits = 0;       // \p{N}{1,n}; 0: any number
  bool digits_after_space = false;      //  ?\p{N}+
  bool newlines_after_symbols = false;  //  ?[^\s\p{L}\p{N}]+[\r\n]*
  bool newlines_or_slashes = false;     //  ?[^\s\p{L}\p{N}]+[\r\n/]*
  bool newline_runs = false;            // \s*[\r\n]+
  bool spaces_by_powers = false;        // \s{512}(?!\S)|\s{256}(?!\S)|...|\s{1,2}(?!\S)|\s{1} (Jais 2)
  bool han_runs = false;                // by_case: \p{Han}+ comes first, and no Han is a letter (Kimi)
  bool each_number_apart = false;  // the text was cut around every number first (Digits of tokenizer.json)
};

// What `pattern` means, when it is one of these; nullopt: leave it to the regex engine.
std::optional<WordPattern> parse_word_pattern(std::string_view pattern);

// Cuts one text from its beginning to its end. Linear time in all: what one piece has looked at beyond its
// end is not looked at again by all that follow.
class WordScanner {
 public:
  // Both are kept by reference. `text` is valid UTF-8.
  WordScanner(const WordPattern& pattern, std::string_view text) : pattern_(pattern), text_(text) {}
  WordScanner(WordPattern&&, std::string_view) = delete;

  // End of the piece that begins at `begin` (< text.size()), where the one before ended; the pieces cover the
  // text without gaps.
  std::size_t next(std::size_t begin);
  // Bytes that were looked at so far.
  std::size_t scanned_bytes() const { return scanned_; }

 private:
  // A word of ASCII letters, with the space before it, that ends in ASCII: most of the words there are.
  // `begin` where there is none.
  std::size_t scan_ascii_word(std::size_t begin) const;

  const WordPattern& pattern_;
  std::string_view text_;
  std::size_t find_number(std::size_t from) const;

  std::size_t number_ = 0;  // each_number_apart: the next number; text_.size() when there is none
  bool number_is_known_ = false;
  std::size_t no_newline_before_ = 0;  // the white space up to here holds no newline
  std::size_t scanned_ = 0;
};

}  // namespace tessera::text
