#include "engine/schema_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/unicode.h"

namespace tessera::engine {
namespace {

constexpr int kMostLevels = 50;
constexpr std::size_t kLongest = 4096;
constexpr std::uint32_t kLastCharacter = 0x10FFFF;

using Range = std::pair<std::uint32_t, std::uint32_t>;

// Characters as a sorted list of ranges.
class CharacterSet {
 public:
  void add(std::uint32_t first, std::uint32_t last) { ranges_.emplace_back(first, last); }
  void add(const CharacterSet& other) {
    ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  }

  CharacterSet opposite() const {
    CharacterSet result;
    std::uint32_t next = 0;
    for (const auto& [first, last] : sorted()) {
      if (first > next) result.add(next, first - 1);
      next = std::max(next, last + 1);
    }
    if (next <= kLastCharacter) result.add(next, kLastCharacter);
    return result;
  }
  bool contains(std::uint32_t c) const {
    return std::ranges::any_of(ranges_,
                               [&](const Range& range) { return range.first <= c && c <= range.second; });
  }

  // The one character that it is of.
  std::optional<std::uint32_t> only() const {
    const bool single = ranges_.size() == 1 && ranges_.front().first == ranges_.front().second;
    return single ? std::optional(ranges_.front().first) : std::nullopt;
  }

  // One of them between the quotes of a JSON string: most stand for themselves, these two and the usual
  // blanks are escaped. Empty when none is left.
  std::string gbnf() const {
    CharacterSet special;
    special.add(0, 0x1F);
    special.add('"', '"');
    special.add('\\', '\\');
    CharacterSet others = opposite();
    others.add(special);
    std::vector<std::string> alternatives;
    std::string plain;
    for (const auto& [first, last] : others.opposite().ranges_) {
      // Surrogates are no characters.
      for (const auto& [from, to] :
           {Range(first, std::min(last, 0xD7FFU)), Range(std::max(first, 0xE000U), last)}) {
        if (from <= to) plain += fmt::format("\\U{:08X}-\\U{:08X}", from, to);
      }
    }
    if (!plain.empty()) alternatives.push_back("[" + plain + "]");
    constexpr std::pair<char, const char*> kEscapes[] = {
        {'"', R"("\\\"")"}, {'\\', R"("\\\\")"}, {'\n', R"("\\n")"}, {'\t', R"("\\t")"}, {'\r', R"("\\r")"}};
    for (const auto& [c, text] : kEscapes) {
      if (contains(static_cast<unsigned char>(c))) alternatives.emplace_back(text);
    }
    if (alternatives.size() < 2) return alternatives.empty() ? "" : alternatives.front();
    return fmt::format("({})", fmt::join(alternatives, " | "));
  }

 private:
  std::vector<Range> sorted() const {
    std::vector<Range> ranges = ranges_;
    std::ranges::sort(ranges);
    return ranges;
  }
  std::vector<Range> ranges_;
};

CharacterSet one(std::uint32_t c) {
  CharacterSet set;
  set.add(c, c);
  return set;
}

// \d, \w, \s and their opposites; nullopt: another escape.
std::optional<CharacterSet> named_class(char32_t name) {
  CharacterSet set;
  switch (name | 0x20U) {
    case 'd':
      set.add('0', '9');
      break;
    case 'w':
      for (const auto& [first, last] : {Range('a', 'z'), Range('A', 'Z'), Range('0', '9'), Range('_', '_')}) {
        set.add(first, last);
      }
      break;
    case 's':
      for (const auto& [first, last] :
           {Range(9, 13), Range(32, 32), Range(0xA0, 0xA0), Range(0x1680, 0x1680), Range(0x2000, 0x200A),
            Range(0x2028, 0x2029), Range(0x202F, 0x202F), Range(0x205F, 0x205F), Range(0x3000, 0x3000),
            Range(0xFEFF, 0xFEFF)}) {
        set.add(first, last);
      }
      break;
    default:
      return std::nullopt;
  }
  return (name & 0x20U) != 0 ? set : set.opposite();
}

// Any character but the ends of lines (ECMA 262, 22.2.2.7).
CharacterSet any_character() {
  CharacterSet ends;
  for (const std::uint32_t c : {0x0AU, 0x0DU, 0x2028U, 0x2029U}) ends.add(c, c);
  return ends.opposite();
}

class PatternReader {
 public:
  explicit PatternReader(std::string_view pattern) {
    for (std::size_t at = 0; at < pattern.size();) {
      const text::DecodedCharacter next = text::decode_character(pattern, at);
      text_ += static_cast<char32_t>(next.code_point);
      at += next.length;
    }
  }

  std::string read() {
    const bool begins = take('^');
    std::string body = alternatives(0);
    if (more()) refuse("an unexpected ')'");
    // An anchor binds one alternative only.
    if (has_alternatives_ && (begins || ends_)) unsupported("^ or $ beside '|' (a group binds them)");
    const std::string any = CharacterSet().opposite().gbnf() + "*";
    return (begins ? "" : any + " ") + body + (ends_ ? "" : " " + any);
  }

 private:
  [[noreturn]] void refuse(const char* what) const {
    fail(ErrorKind::bad_input, "pattern: found {} at character {}", what, at_ + 1);
  }
  [[noreturn]] void unsupported(const char* what) const {
    fail(ErrorKind::unsupported, "pattern: {} at character {} is not supported", what, at_ + 1);
  }
  bool more() const { return at_ < text_.size(); }
  bool sees(char32_t c) const { return more() && text_[at_] == c; }
  bool take(char32_t c) {
    if (!sees(c)) return false;
    ++at_;
    return true;
  }
  char32_t next() {
    if (!more()) refuse("the end where a character was expected");
    return text_[at_++];
  }

  std::string alternatives(int level) {
    if (level > kMostLevels) fail(ErrorKind::limit, "pattern: more than {} levels", kMostLevels);
    std::string text = "(" + sequence(level);
    while (take('|')) {
      has_alternatives_ = has_alternatives_ || level == 0;
      text += " | " + sequence(level);
    }
    return text + ")";
  }

  std::string sequence(int level) {
    std::string text;
    while (more() && !sees('|') && !sees(')')) {
      if (sees('$')) {
        if (level > 0 || at_ + 1 != text_.size()) unsupported("$ before the end");
        ends_ = take('$');
        break;
      }
      const std::string part = atom(level);
      text += (text.empty() ? "" : " ") + part + repetition();
    }
    return text.empty() ? "\"\"" : text;
  }

  std::string atom(int level) {
    if (sees('^')) unsupported("^ after the beginning");
    if (sees('*') || sees('+') || sees('?') || sees('{')) refuse("nothing to repeat");
    if (take('(')) return group(level);
    const CharacterSet set = take('[')    ? character_class()
                             : take('\\') ? escape()
                             : take('.')  ? any_character()
                                          : one(next());
    std::string text = set.gbnf();
    if (text.empty()) unsupported("a character that needs a rare escape");
    return text;
  }

  std::string group(int level) {
    if (take('?') && !take(':')) {
      if (!take('<') || sees('=') || sees('!')) unsupported("looking around");
      while (!take('>')) next();  // its name
    }
    std::string text = alternatives(level + 1);
    if (!take(')')) refuse("a group without its end");
    return text;
  }

  std::string repetition() {
    std::string text;
    if (sees('*') || sees('+') || sees('?')) {
      text += static_cast<char>(next());
    } else if (take('{')) {
      text = "{";
      while (!take('}')) {
        const char32_t c = next();
        if (c != ',' && (c < '0' || c > '9')) refuse("no number between { and }");
        text += static_cast<char>(c);
      }
      text += "}";
    }
    if (!text.empty()) take('?');  // lazy: the same texts
    return text;
  }

  CharacterSet escape() {
    const char32_t c = next();
    if (const auto set = named_class(c)) return *set;
    switch (c) {
      case 'n':
        return one('\n');
      case 't':
        return one('\t');
      case 'r':
        return one('\r');
      case 'x':
        return one(hexadecimal(2));
      case 'u':
        return one(hexadecimal(4));
      default:
        break;
    }
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (is_letter) unsupported("this escape");
    return one(c);
  }

  std::uint32_t hexadecimal(int digits) {
    std::uint32_t value = 0;
    for (int i = 0; i < digits; ++i) {
      const char32_t c = next();
      const char32_t lower = c | 0x20U;
      if (c >= '0' && c <= '9') {
        value = value * 16 + (c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value * 16 + (lower - 'a' + 10);
      } else {
        refuse("no hexadecimal digit");
      }
    }
    return value;
  }

  CharacterSet character_class() {
    const bool negated = take('^');
    CharacterSet set;
    while (!take(']')) {
      const std::size_t begin = at_;
      const CharacterSet first = class_atom();
      const bool is_range = sees('-') && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
      if (!is_range) {
        set.add(first);
        continue;
      }
      const std::uint32_t low = single_;
      ++at_;
      class_atom();
      if (low == kNoSingle || single_ == kNoSingle || single_ < low) {
        at_ = begin;
        refuse("a range that has no end");
      }
      set.add(low, single_);
    }
    return negated ? set.opposite() : set;
  }

  // Sets single_ to the one character that it is, if it is one.
  CharacterSet class_atom() {
    single_ = kNoSingle;
    if (!take('\\')) {
      single_ = next();
      return one(single_);
    }
    const CharacterSet set = escape();
    single_ = set.only().value_or(kNoSingle);
    return set;
  }

  static constexpr std::uint32_t kNoSingle = 0xFFFFFFFF;
  std::u32string text_;
  std::size_t at_ = 0;
  std::uint32_t single_ = kNoSingle;
  bool ends_ = false;  // with $
  bool has_alternatives_ = false;
};

}  // namespace

std::string pattern_to_gbnf(std::string_view pattern) {
  if (pattern.size() > kLongest)
    fail(ErrorKind::limit, "pattern: {} bytes, at most {}", pattern.size(), kLongest);
  if (!text::is_valid_utf8(pattern)) fail(ErrorKind::bad_input, "pattern: expected UTF-8");
  return PatternReader(pattern).read();
}

}  // namespace tessera::engine
