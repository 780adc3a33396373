#include "text/word_scanner.h"

#include <algorithm>
#include <array>
#include <string>

#include "text/unicode.h"

namespace tessera::text {
namespace {

using namespace character;

// ASCII by a table in the code, the rest by the character table.
struct Here {
  std::uint8_t bits = 0;
  std::uint32_t length = 0;  // 0: the end of the text
  CodePoint code_point = 0;
};

constexpr std::uint8_t ascii_bits(unsigned char c) {
  if (c >= 'a' && c <= 'z') return kLower;
  if (c >= 'A' && c <= 'Z') return kUpper;
  if (c >= '0' && c <= '9') return kNumber;
  if (c == ' ' || (c >= 9 && c <= 13)) return kWhiteSpace;
  return 0;
}

struct AsciiTable {
  std::uint8_t bits[128] = {};
  constexpr AsciiTable() {
    for (unsigned char c = 0; c < 128; ++c) bits[c] = ascii_bits(c);
  }
};
constexpr AsciiTable kAscii;

// The same for any byte: those of other characters have a bit of their own.
constexpr std::uint8_t kBeyondAscii = 64;
constexpr std::uint8_t kMayLead =
    128;  // [^\r\n\p{L}\p{N}] but for the apostrophe, which may begin a contraction
struct ByteTable {
  std::uint8_t bits[256] = {};
  constexpr ByteTable() {
    for (unsigned c = 0; c < 256; ++c) {
      bits[c] = c < 128 ? kAscii.bits[c] : kBeyondAscii;
      if ((bits[c] & (kLetter | kNumber | kBeyondAscii)) == 0 && c != '\r' && c != '\n' && c != '\'')
        bits[c] |= kMayLead;
    }
  }
};
constexpr ByteTable kAsciiOrMore;

[[gnu::noinline]] Here look_beyond_ascii(std::string_view text, std::size_t position) {
  const DecodedCharacter character = decode_character(text, position);
  return {character_bits(character.code_point), character.length, character.code_point};
}

[[gnu::always_inline]] inline Here look(std::string_view text, std::size_t position) {
  if (position >= text.size()) return {};
  const auto byte = static_cast<unsigned char>(text[position]);
  if (byte < 0x80) return {kAscii.bits[byte], 1, byte};
  return look_beyond_ascii(text, position);
}

std::size_t skip(std::string_view text, std::size_t position, std::uint8_t mask) {
  for (Here here = look(text, position); (here.bits & mask) != 0; here = look(text, position))
    position += here.length;
  return position;
}

bool is_newline(char c) { return c == '\r' || c == '\n'; }

// End of a contraction at `begin` ('s 't 're 've 'm 'll 'd), or `begin`. Case folding takes U+017F for s.
std::size_t scan_contraction(WordPattern::Contractions kind, std::string_view text, std::size_t begin) {
  if (begin + 1 >= text.size() || text[begin] != '\'') return begin;
  const bool fold = kind != WordPattern::Contractions::lower_case;
  const auto lower = [&](std::size_t position) {
    const char c = position < text.size() ? text[position] : '\0';
    return fold && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = lower(begin + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return begin + 2;
  const char second = lower(begin + 2);
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l')) {
    return begin + 3;
  }
  const bool long_s =
      kind == WordPattern::Contractions::any_case && text.substr(begin + 1).starts_with("\xc5\xbf");
  return long_s ? begin + 3 : begin;
}

// Script Han (Scripts.txt).
bool is_han(CodePoint c) {
  if (c < 0x2e80) return false;
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
         (c >= 0x2e80 && c <= 0x2fd5 && c != 0x2e9a) || c == 0x3005 || c == 0x3007 ||
         (c >= 0x3021 && c <= 0x3029) || (c >= 0x3038 && c <= 0x303b) || (c >= 0xf900 && c <= 0xfad9) ||
         (c >= 0x16fe2 && c <= 0x16ff6 && c != 0x16fe4) || (c >= 0x20000 && c <= 0x323af);
}

// A character for by_case patterns: a Han character is no letter where they stand apart.
Here look_by_case(const WordPattern& pattern, std::string_view text, std::size_t position) {
  Here here = look(text, position);
  if (pattern.han_runs && is_han(here.code_point)) here.bits = 0;
  return here;
}

// [U]*[W]+ and, failing that, [U]+[W]*, where U is Lu, Lt, Lm, Lo, M and W is Ll, Lm, Lo, M. `first` tells
// which.
// `reached` becomes the end of what was looked at.
std::size_t scan_by_case(const WordPattern& pattern, std::string_view text, std::size_t begin, bool first,
                         std::size_t& reached) {
  constexpr std::uint8_t kHead = kUpper | kOtherLetter | kMark;
  constexpr std::uint8_t kTail = kLower | kOtherLetter | kMark;
  std::size_t position = begin;
  std::size_t last_tail_end = begin;  // behind the last character of the head that could be a tail
  Here here = look_by_case(pattern, text, position);
  for (; (here.bits & kHead) != 0; here = look_by_case(pattern, text, position)) {
    position += here.length;
    if ((here.bits & kTail) != 0) last_tail_end = position;
  }
  reached = std::max(reached, position);
  const bool has_tail = (here.bits & kTail) != 0;
  if (first && !has_tail) return last_tail_end;
  if (!first && position == begin) return begin;
  for (; (here.bits & kTail) != 0; here = look_by_case(pattern, text, position)) position += here.length;
  return position;
}

// One piece of a text.
class PieceScanner {
 public:
  PieceScanner(const WordPattern& pattern, std::string_view text, std::size_t begin,
               std::size_t& no_newline_before)
      : pattern_(pattern),
        text_(text),
        begin_(begin),
        here_(look(text, begin)),
        no_newline_before_(no_newline_before) {}

  // Behind the last character looked at, where that lies behind the piece.
  std::size_t reached() const { return reached_; }

  std::size_t run() {
    std::size_t end = begin_;
    if (pattern_.han_runs) end = han();
    if (end == begin_ && pattern_.contractions != WordPattern::Contractions::none &&
        !pattern_.contraction_suffix) {
      end = scan_contraction(pattern_.contractions, text_, begin_);
    }
    if (end == begin_) end = pattern_.letters == WordPattern::Letters::by_case ? case_letters() : letters();
    if (end == begin_) end = digits();
    if (end == begin_) end = symbols();
    if (end == begin_) end = spaces();
    return end == begin_ ? begin_ + here_.length : end;  // no alternative matches: a piece of its own
  }

 private:
  std::size_t han() const {
    std::size_t position = begin_;
    for (Here here = look(text_, position); is_han(here.code_point); here = look(text_, position)) {
      position += here.length;
    }
    return position;
  }

  std::size_t letters() const {
    const bool marks = pattern_.letters == WordPattern::Letters::after_any_with_marks;
    const std::uint8_t mask = marks ? kLetter | kMark : kLetter;
    std::size_t position = begin_;
    if ((here_.bits & mask) == 0) {
      const bool may_lead = pattern_.letters == WordPattern::Letters::after_space
                                ? here_.code_point == ' '
                                : (here_.bits & kNumber) == 0 && !is_newline(text_[begin_]);
      if (!may_lead) return begin_;
      position += here_.length;
      if ((look(text_, position).bits & mask) == 0) return begin_;
    }
    return skip(text_, position, mask);
  }

  std::size_t case_letters() {
    const bool may_lead = (here_.bits & (kLetter | kNumber)) == 0 && !is_newline(text_[begin_]);
    for (const bool first : {true, false}) {
      for (const std::size_t start : {begin_ + here_.length, begin_}) {
        if (start != begin_ && !may_lead) continue;
        const std::size_t end = scan_by_case(pattern_, text_, start, first, reached_);
        if (end == start) continue;
        return pattern_.contraction_suffix ? scan_contraction(pattern_.contractions, text_, end) : end;
      }
    }
    return begin_;
  }

  std::size_t digits() const {
    std::size_t position = begin_;
    if (pattern_.digits_after_space && here_.code_point == ' ') ++position;
    if (pattern_.maximum_digits == 0) {
      const std::size_t end = skip(text_, position, kNumber);
      return end == position ? begin_ : end;
    }
    for (std::size_t count = 0; count < pattern_.maximum_digits; ++count) {
      const Here here = look(text_, position);
      if ((here.bits & kNumber) == 0) break;
      position += here.length;
    }
    return position;
  }

  std::size_t symbols() const {
    const bool marks = pattern_.letters == WordPattern::Letters::after_any_with_marks;
    const std::uint8_t stop =
        marks ? kLetter | kNumber | kWhiteSpace | kMark : kLetter | kNumber | kWhiteSpace;
    std::size_t position = here_.code_point == ' ' ? begin_ + 1 : begin_;
    const std::size_t start = position;
    for (Here here = look(text_, position); here.length != 0 && (here.bits & stop) == 0;
         here = look(text_, position)) {
      position += here.length;
    }
    if (position == start) return begin_;
    while (position < text_.size() && ((pattern_.newlines_after_symbols && is_newline(text_[position])) ||
                                       (pattern_.newlines_or_slashes && text_[position] == '/'))) {
      ++position;
    }
    return position;
  }

  // \s*[\r\n]+|\s+(?!\S)|\s+
  std::size_t spaces() {
    if (begin_ < no_newline_before_) return spaces_by_powers();
    std::size_t position = begin_;
    std::size_t last = begin_;         // start of the last white space
    std::size_t newline_end = begin_;  // behind the last newline
    for (Here here = look(text_, position); (here.bits & kWhiteSpace) != 0; here = look(text_, position)) {
      last = position;
      position += here.length;
      if (is_newline(text_[last])) newline_end = position;
    }
    reached_ = std::max(reached_, position);
    if (pattern_.newline_runs && newline_end != begin_) return newline_end;
    if (pattern_.spaces_by_powers && position != begin_) {
      no_newline_before_ = position;
      return spaces_by_powers();
    }
    return position == text_.size() || last == begin_ ? position : last;
  }

  // At most 512 white spaces, the largest of the sizes that no \S follows; one if there is none.
  std::size_t spaces_by_powers() {
    constexpr std::size_t kLargest = 512;
    std::size_t count = 0;
    std::size_t position = begin_;
    std::array<std::size_t, kLargest + 1> ends;  // by count
    for (; count <= kLargest; ++count) {
      ends[count] = position;
      const Here here = look(text_, position);
      if ((here.bits & kWhiteSpace) == 0) break;
      position += here.length;
    }
    reached_ = std::max(reached_, position);
    const bool at_end = position == text_.size() && count <= kLargest;
    for (const std::size_t size : {512, 256, 128, 64, 32, 16, 8, 4, 2, 1}) {
      if (count > size || (count == size && at_end)) return ends[size];
    }
    return ends[1];
  }

  const WordPattern& pattern_;
  std::string_view text_;
  std::size_t begin_;
  Here here_;
  std::size_t& no_newline_before_;
  std::size_t reached_ = 0;
};

// Reads a pattern alternative by alternative.
class PatternReader {
 public:
  explicit PatternReader(std::string_view text) : rest_(text) {}
  bool take(std::string_view part) {
    if (!rest_.starts_with(part)) return false;
    rest_.remove_prefix(part.size());
    return true;
  }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// Patterns hold CR and LF as escapes or as themselves.
std::string with_escaped_newlines(std::string_view pattern) {
  std::string result;
  for (const char c : pattern) {
    if (c == '\r') {
      result += "\\r";
    } else if (c == '\n') {
      result += "\\n";
    } else {
      result += c;
    }
  }
  return result;
}

constexpr std::string_view kAnyCase = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
constexpr std::string_view kAsciiCase = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";

void read_contractions(PatternReader& reader, WordPattern& result) {
  using enum WordPattern::Contractions;
  if (reader.take("(?i:'s|'t|'re|'ve|'m|'ll|'d)|") || reader.take("'(?i:[sdmt]|ll|ve|re)|")) {
    result.contractions = any_case;
  } else if (reader.take("(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|")) {
    result.contractions = ascii_case;
  } else if (reader.take("'s|'t|'re|'ve|'m|'ll|'d|") || reader.take("'(?:[sdmt]|ll|ve|re)|")) {
    result.contractions = lower_case;
  }
}

bool read_suffix(PatternReader& reader, WordPattern& result) {
  using enum WordPattern::Contractions;
  auto kind = none;
  if (reader.take(kAnyCase)) kind = any_case;
  if (kind == none && reader.take(kAsciiCase)) kind = ascii_case;
  if (kind == none) return false;
  result.contractions = kind;
  result.contraction_suffix = true;
  return reader.take("?");
}

bool read_letters(PatternReader& reader, WordPattern& result) {
  using enum WordPattern::Letters;
  if (reader.take(" ?\\p{L}+|")) {
    result.letters = after_space;
    return true;
  }
  constexpr std::string_view kLead = "[^\\r\\n\\p{L}\\p{N}]?";
  if (!reader.take(kLead)) return false;
  const bool possessive = reader.take("+");  // nothing that follows could give the character back
  if (reader.take("\\p{L}+|")) {
    result.letters = after_any;
    return true;
  }
  if (reader.take("[\\p{L}\\p{M}]+|")) {
    result.letters = after_any_with_marks;
    return !possessive;
  }
  constexpr std::string_view kHead = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
  constexpr std::string_view kTail = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
  if (possessive || result.contractions != WordPattern::Contractions::none) return false;
  if (!reader.take(kHead) || !reader.take("*") || !reader.take(kTail) || !reader.take("+")) return false;
  const bool suffixed = read_suffix(reader, result);
  if (!reader.take("|") || !reader.take(kLead) || !reader.take(kHead) || !reader.take("+") ||
      !reader.take(kTail) || !reader.take("*")) {
    return false;
  }
  WordPattern again;
  if (read_suffix(reader, again) != suffixed || again.contractions != result.contractions) return false;
  result.letters = by_case;
  return reader.take("|");
}

bool read_digits(PatternReader& reader, WordPattern& result) {
  if (reader.take("\\p{N}{1,3}|")) {
    result.maximum_digits = 3;
  } else if (reader.take("\\p{N}|") || reader.take("\\p{N}{1}|")) {
    result.maximum_digits = 1;
  } else if (reader.take(" ?\\p{N}+|")) {
    result.digits_after_space = true;
  } else {
    return reader.take("\\p{N}+|");
  }
  return true;
}

bool read_symbols(PatternReader& reader, WordPattern& result) {
  const bool marks = result.letters == WordPattern::Letters::after_any_with_marks;
  if (!marks && reader.take(" ?[^\\s\\p{L}\\p{N}\\r\\n]+|")) return true;  // newlines are white space anyway
  if (!reader.take(marks ? " ?[^\\s\\p{L}\\p{M}\\p{N}]+" : " ?[^\\s\\p{L}\\p{N}]+")) return false;
  reader.take("+");  // possessive: newlines are white space, so nothing is given back anyway
  if (reader.take("[\\r\\n]*")) {
    result.newlines_after_symbols = true;
  } else if (reader.take("[\\r\\n/]*")) {
    result.newlines_after_symbols = true;
    result.newlines_or_slashes = true;
  }
  return reader.take("|");
}

}  // namespace

std::optional<WordPattern> parse_word_pattern(std::string_view pattern) {
  const std::string text = with_escaped_newlines(pattern);
  PatternReader reader(text);
  WordPattern result;
  read_contractions(reader, result);
  if (!read_letters(reader, result) || !read_digits(reader, result) || !read_symbols(reader, result)) {
    return std::nullopt;
  }
  // One newline or several: \s* before it takes all but the last either way.
  result.newline_runs = reader.take("\\s*[\\r\\n]+|") || reader.take("\\s*[\\r\\n]|");
  constexpr std::string_view kPowers =
      R"(\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
  result.spaces_by_powers = result.newline_runs && reader.take(kPowers);
  if (!result.spaces_by_powers && !reader.take("\\s+(?!\\S)|\\s+")) return std::nullopt;
  if (!reader.at_end()) return std::nullopt;
  return result;
}

std::size_t WordScanner::scan_ascii_word(std::size_t begin) const {
  const std::size_t size = text_.size();
  const auto bits = [&](std::size_t position) -> unsigned {
    return position < size ? kAsciiOrMore.bits[static_cast<unsigned char>(text_[position])] : 0U;
  };
  const bool leads = pattern_.letters == WordPattern::Letters::after_space ? text_[begin] == ' '
                                                                           : (bits(begin) & kMayLead) != 0;
  const std::size_t start = begin + (leads ? 1 : 0);
  std::size_t end = start;
  if (pattern_.letters != WordPattern::Letters::by_case) {
    while ((bits(end) & kLetter) != 0) ++end;
  } else {
    while ((bits(end) & kUpper) != 0) ++end;
    while ((bits(end) & kLower) != 0) ++end;
    if (pattern_.contraction_suffix && end < size && text_[end] == '\'') return begin;
  }
  return end == start || (bits(end) & kBeyondAscii) != 0 ? begin : end;
}

std::size_t WordScanner::find_number(std::size_t from) const {
  while (from < text_.size()) {
    const auto byte = static_cast<unsigned char>(text_[from]);
    if (byte < 0x80) {
      if ((kAscii.bits[byte] & kNumber) != 0) break;
      ++from;
      continue;
    }
    const DecodedCharacter character = decode_character(text_, from);
    if (is_numeric(character.code_point)) break;
    from += character.length;
  }
  return from;
}

// Pieces end at a number, and the text does for them.
std::size_t WordScanner::next(std::size_t begin) {
  std::string_view text = text_;
  if (pattern_.each_number_apart) {
    if (!number_is_known_ || number_ < begin) {
      number_ = find_number(begin);
      number_is_known_ = true;
    }
    if (number_ == begin) {
      const std::size_t length = character_length(text_[begin]);
      scanned_ += length;
      return begin + length;
    }
    text = text_.substr(0, number_);
  }
  if (const std::size_t end = scan_ascii_word(begin); end != begin) {
    scanned_ += end - begin;
    return end;
  }
  PieceScanner piece(pattern_, text, begin, no_newline_before_);
  const std::size_t end = piece.run();
  scanned_ += std::max(end, piece.reached()) - begin;
  return end;
}

}  // namespace tessera::text
