#include "engine/gbnf.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/error.h"

namespace tessera::engine {
namespace {

constexpr int kMostNesting = 100;
constexpr std::int64_t kMostRepeats = 10'000;
constexpr std::size_t kMostSymbols = 500'000;
constexpr std::int64_t kNoEnd = -1;
constexpr std::uint32_t kLastCharacter = 0x10FFFF;

struct CharacterRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};

// Bytes of a character in UTF-8; all characters of a range given to it have the same number of bytes.
std::vector<std::uint8_t> utf8(std::uint32_t character) {
  if (character < 0x80) return {static_cast<std::uint8_t>(character)};
  std::vector<std::uint8_t> bytes;
  const int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
  constexpr std::array<unsigned, 4> kLead{0, 0xC0, 0xE0, 0xF0};
  bytes.push_back(
      static_cast<std::uint8_t>(kLead[static_cast<std::size_t>(more)] | (character >> (6 * more))));
  for (int i = more - 1; i >= 0; --i) {
    bytes.push_back(static_cast<std::uint8_t>(0x80U | ((character >> (6 * i)) & 0x3FU)));
  }
  return bytes;
}

// Cuts a range where the number of bytes changes, and where surrogates are, which UTF-8 has not.
std::vector<CharacterRange> encodable(const CharacterRange& range) {
  constexpr std::array<CharacterRange, 5> kSpans{
      {{0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, kLastCharacter}}};
  std::vector<CharacterRange> parts;
  for (const CharacterRange& span : kSpans) {
    const CharacterRange part{std::max(range.first, span.first), std::min(range.last, span.last)};
    if (part.first <= part.last) parts.push_back(part);
  }
  return parts;
}

// Sorted, disjoint; turned inside out when `negated`.
std::vector<CharacterRange> normalized(std::vector<CharacterRange> ranges, bool negated) {
  std::ranges::sort(ranges, {}, &CharacterRange::first);
  std::vector<CharacterRange> merged;
  for (const CharacterRange& range : ranges) {
    if (!merged.empty() && range.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  if (!negated) return merged;
  std::vector<CharacterRange> rest;
  std::uint32_t next = 0;
  for (const CharacterRange& range : merged) {
    if (range.first > next) rest.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCharacter) rest.push_back({next, kLastCharacter});
  return rest;
}

class GbnfParser {
 public:
  explicit GbnfParser(std::string_view text) : text_(text) {}

  GrammarRules parse() {
    skip_space();
    while (at_ < text_.size()) {
      const std::size_t begin = at_;
      const std::string name = take_name();
      expect("::=");
      const std::int32_t rule = rule_of(name);
      if (defined_[static_cast<std::size_t>(rule)]) fail_at(begin, "rule '" + name + "' is there twice");
      defined_[static_cast<std::size_t>(rule)] = true;
      auto alternatives = take_alternatives();
      rules_.rules[static_cast<std::size_t>(rule)] = std::move(alternatives);
      if (at_ < text_.size() && !begins_rule())
        fail_at(at_, "expected a rule 'name ::= ...' or more of this one");
    }
    finish();
    return std::move(rules_);
  }

 private:
  [[noreturn]] void fail_at(std::size_t where, const std::string& what) const {
    const std::string_view before = text_.substr(0, where);
    const auto line = 1 + std::ranges::count(before, '\n');
    const std::size_t line_begin = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    fail(ErrorKind::bad_input, "grammar: line {}, column {}: {}", line, where - line_begin + 1, what);
  }

  bool next_is(std::string_view token) const { return text_.substr(at_).starts_with(token); }
  bool take(std::string_view token) {
    if (!next_is(token)) return false;
    at_ += token.size();
    skip_space();
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) fail_at(at_, fmt::format("expected '{}'", token));
  }
  void skip_space() {
    while (at_ < text_.size()) {
      if (text_[at_] == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) {
        ++at_;
      } else {
        return;
      }
    }
  }

  static bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  }
  std::size_t name_end() const {
    std::size_t end = at_;
    while (end < text_.size() && is_name_character(text_[end])) ++end;
    return end;
  }
  std::string take_name() {
    const std::size_t end = name_end();
    if (end == at_) fail_at(at_, "expected the name of a rule");
    std::string name(text_.substr(at_, end - at_));
    at_ = end;
    skip_space();
    return name;
  }
  // A name that is followed by ::= does not belong to the rule before.
  bool begins_rule() {
    const std::size_t before = at_;
    at_ = name_end();
    const bool has_name = at_ > before;
    skip_space();
    const bool result = has_name && next_is("::=");
    at_ = before;
    return result;
  }

  std::int32_t rule_of(const std::string& name) {
    const auto [found, is_new] = by_name_.try_emplace(name, static_cast<std::int32_t>(rules_.rules.size()));
    if (is_new) {
      add_rule(name);
      first_use_.back() = at_;
    }
    return found->second;
  }
  std::int32_t add_rule(std::string name, std::vector<GrammarSequence> alternatives = {}) {
    for (const GrammarSequence& sequence : alternatives) count(sequence.size() + 1);
    defined_.push_back(name.empty());
    first_use_.push_back(at_);
    rules_.names.push_back(std::move(name));
    rules_.rules.push_back(std::move(alternatives));
    return static_cast<std::int32_t>(rules_.rules.size()) - 1;
  }
  void count(std::size_t symbols) {
    symbols_ += symbols;
    if (symbols_ > kMostSymbols) fail(ErrorKind::limit, "grammar: more than {} symbols", kMostSymbols);
  }

  std::vector<GrammarSequence> take_alternatives() {
    if (++nesting_ > kMostNesting)
      fail(ErrorKind::limit, "grammar: groups nested deeper than {}", kMostNesting);
    std::vector<GrammarSequence> alternatives;
    do {
      alternatives.push_back(take_sequence());
      count(alternatives.back().size() + 1);
    } while (take("|"));
    --nesting_;
    return alternatives;
  }

  GrammarSequence take_sequence() {
    GrammarSequence sequence;
    while (at_ < text_.size() && !next_is("|") && !next_is(")") && !begins_rule()) {
      GrammarSequence item = take_item();
      skip_space();
      item = take_repetition(std::move(item));
      sequence.insert(sequence.end(), item.begin(), item.end());
    }
    return sequence;
  }

  GrammarSequence take_item() {
    if (next_is("\"")) return take_literal();
    if (next_is("[")) return take_class();
    if (take(".")) return class_of({{0, kLastCharacter}});
    if (take("(")) {
      auto alternatives = take_alternatives();
      expect(")");
      return {{true, add_rule({}, std::move(alternatives))}};
    }
    if (name_end() == at_) fail_at(at_, "expected \"text\", [characters], ., (group) or the name of a rule");
    const std::string name = take_name();
    return {{true, rule_of(name)}};
  }

  GrammarSequence take_literal() {
    const std::size_t begin = at_++;
    GrammarSequence sequence;
    while (true) {
      if (at_ >= text_.size()) fail_at(begin, "this text has no end: expected \"");
      if (text_[at_] == '"') break;
      for (const std::uint8_t byte : utf8(take_character())) {
        sequence.push_back(bytes_of(ByteSet().set(byte)));
      }
    }
    ++at_;
    return sequence;
  }

  GrammarSequence take_class() {
    const std::size_t begin = at_++;
    const bool negated = at_ < text_.size() && text_[at_] == '^';
    if (negated) ++at_;
    std::vector<CharacterRange> ranges;
    while (true) {
      if (at_ >= text_.size()) fail_at(begin, "this class has no end: expected ]");
      if (text_[at_] == ']') break;
      const std::uint32_t first = take_character();
      std::uint32_t last = first;
      if (at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']') {
        ++at_;
        last = take_character();
        if (last < first) fail_at(begin, "a range of characters that ends before it begins");
      }
      ranges.push_back({first, last});
    }
    ++at_;
    return class_of(normalized(std::move(ranges), negated));
  }

  // One character of a literal or class, escapes undone.
  std::uint32_t take_character() {
    const std::size_t begin = at_;
    if (text_[at_] != '\\') return take_utf8();
    if (++at_ >= text_.size()) fail_at(begin, "expected a character after \\");
    const char kind = text_[at_++];
    switch (kind) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return take_hexadecimal(2);
      case 'u':
        return take_hexadecimal(4);
      case 'U':
        return take_hexadecimal(8);
      default:
        break;
    }
    if (std::string_view("\\\"[]-^").find(kind) == std::string_view::npos) {
      fail_at(begin, "expected one of \\n \\r \\t \\xHH \\uHHHH \\UHHHHHHHH \\\\ \\\" \\[ \\] \\- \\^");
    }
    return static_cast<unsigned char>(kind);
  }
  std::uint32_t take_hexadecimal(std::size_t digits) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char c = at_ < text_.size() ? text_[at_] : ' ';
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) fail_at(at_, fmt::format("expected {} hexadecimal digits", digits));
      value = value * 16 + static_cast<std::uint32_t>(digit);
      ++at_;
    }
    if (value > kLastCharacter || (value >= 0xD800 && value <= 0xDFFF))
      fail_at(at_, "expected a Unicode character");
    return value;
  }
  std::uint32_t take_utf8() {
    const std::size_t begin = at_;
    const auto lead = static_cast<unsigned char>(text_[at_++]);
    const int more = lead < 0x80   ? 0
                     : lead < 0xC2 ? -1
                     : lead < 0xE0 ? 1
                     : lead < 0xF0 ? 2
                     : lead < 0xF5 ? 3
                                   : -1;
    if (more < 0) fail_at(begin, "expected UTF-8");
    std::uint32_t value = more == 0 ? lead : lead & (0x3FU >> more);
    for (int i = 0; i < more; ++i) {
      const unsigned char next = at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : 0;
      if ((next & 0xC0U) != 0x80U) fail_at(begin, "expected UTF-8");
      value = value << 6 | (next & 0x3FU);
      ++at_;
    }
    if (utf8(value).size() != static_cast<std::size_t>(more) + 1) fail_at(begin, "expected UTF-8");
    return value;
  }

  GrammarSequence take_repetition(GrammarSequence item) {
    while (at_ < text_.size()) {
      if (take("*")) {
        item = repeated(item, 0, kNoEnd);
      } else if (take("+")) {
        item = repeated(item, 1, kNoEnd);
      } else if (take("?")) {
        item = repeated(item, 0, 1);
      } else if (take("{")) {
        const std::int64_t least = take_number();
        std::int64_t most = least;
        if (take(",")) most = next_is("}") ? kNoEnd : take_number();
        expect("}");
        if (most != kNoEnd && most < least) fail_at(at_, "a repetition that ends before it begins");
        item = repeated(item, least, most);
      } else {
        break;
      }
    }
    return item;
  }
  std::int64_t take_number() {
    std::int64_t value = -1;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      value = std::max<std::int64_t>(value, 0) * 10 + (text_[at_] - '0');
      if (value > kMostRepeats) fail(ErrorKind::limit, "grammar: more than {} repetitions", kMostRepeats);
    }
    if (value < 0) fail_at(at_, "expected a number");
    skip_space();
    return value;
  }

  // `least` times the item, then R ::= item R | nothing, or one such rule for each time that may be.
  GrammarSequence repeated(const GrammarSequence& item, std::int64_t least, std::int64_t most) {
    GrammarSymbol one{};
    if (item.size() == 1) {
      one = item.front();
    } else {
      one = {true, add_rule({}, {item})};
    }
    GrammarSequence result(static_cast<std::size_t>(least), one);
    count(result.size());
    if (most == kNoEnd) {
      const std::int32_t rule = add_rule({});
      count(3);
      rules_.rules[static_cast<std::size_t>(rule)] = {{one, {true, rule}}, {}};
      result.push_back({true, rule});
    } else {
      std::optional<GrammarSymbol> rest;
      for (std::int64_t i = least; i < most; ++i) {
        GrammarSequence sequence{one};
        if (rest) sequence.push_back(*rest);
        rest = GrammarSymbol{true, add_rule({}, {std::move(sequence), {}})};
      }
      if (rest) result.push_back(*rest);
    }
    return result;
  }

  // A set of characters as sequences of byte sets.
  GrammarSequence class_of(const std::vector<CharacterRange>& ranges) {
    ByteSet ascii;
    std::vector<GrammarSequence> alternatives;
    for (const CharacterRange& range : ranges) {
      for (const CharacterRange& part : encodable(range)) {
        if (part.last < 0x80) {
          for (std::uint32_t c = part.first; c <= part.last; ++c) ascii.set(c);
        } else {
          add_byte_sequences(part, alternatives);
        }
      }
    }
    if (ascii.any()) alternatives.push_back({bytes_of(ascii)});
    if (alternatives.size() == 1) return alternatives.front();
    return {{true, add_rule({}, std::move(alternatives))}};  // an empty class is a rule without alternatives
  }

  // Cuts the range until all last bytes go over their whole span wherever an earlier byte varies.
  void add_byte_sequences(const CharacterRange& range, std::vector<GrammarSequence>& alternatives) {
    std::vector<CharacterRange> work{range};
    while (!work.empty()) {
      const CharacterRange part = work.back();
      work.pop_back();
      if (std::optional<std::uint32_t> cut = cut_of(part)) {
        work.push_back({*cut, part.last});
        work.push_back({part.first, *cut - 1});
        continue;
      }
      const std::vector<std::uint8_t> first = utf8(part.first);
      const std::vector<std::uint8_t> last = utf8(part.last);
      GrammarSequence sequence;
      for (std::size_t i = 0; i < first.size(); ++i) {
        ByteSet set;
        for (unsigned byte = first[i]; byte <= last[i]; ++byte) set.set(byte);
        sequence.push_back(bytes_of(set));
      }
      alternatives.push_back(std::move(sequence));
    }
  }
  static std::optional<std::uint32_t> cut_of(const CharacterRange& part) {
    for (std::uint32_t mask = 0x3F; mask < 0x40000; mask = mask << 6 | 0x3F) {
      if ((part.first & ~mask) == (part.last & ~mask)) break;
      if ((part.first & mask) != 0) return (part.first | mask) + 1;
      if ((part.last & mask) != mask) return part.last & ~mask;
    }
    return std::nullopt;
  }

  GrammarSymbol bytes_of(const ByteSet& set) {
    const auto [found, is_new] =
        by_bytes_.try_emplace(set, static_cast<std::int32_t>(rules_.byte_sets.size()));
    if (is_new) rules_.byte_sets.push_back(set);
    return {false, found->second};
  }

  void finish() {
    for (std::size_t i = 0; i < defined_.size(); ++i) {
      if (!defined_[i]) fail_at(first_use_[i], "there is no rule '" + rules_.names[i] + "'");
    }
    const auto root = by_name_.find("root");
    if (root == by_name_.end()) fail(ErrorKind::bad_input, "grammar: expected a rule called root");
    rules_.root = root->second;
    refuse_left_recursion();
  }

  // Rules that can be nothing, each found once: when the last symbol of an alternative is known to be
  // nothing, so is its rule.
  std::vector<bool> nullable() const {
    struct Waiting {
      std::size_t rule;
      std::size_t left;  // symbols of an alternative not known to be nothing
    };
    std::vector<Waiting> alternatives;
    std::vector<std::vector<std::size_t>> used_in(rules_.rules.size());  // rule → alternatives
    std::vector<bool> result(rules_.rules.size(), false);
    std::vector<std::size_t> found;
    const auto note = [&](std::size_t rule) {
      if (!result[rule]) found.push_back(rule);
      result[rule] = true;
    };
    for (std::size_t rule = 0; rule < rules_.rules.size(); ++rule) {
      for (const GrammarSequence& sequence : rules_.rules[rule]) {
        for (const GrammarSymbol& symbol : sequence) {
          if (symbol.is_rule) used_in[static_cast<std::size_t>(symbol.index)].push_back(alternatives.size());
        }
        alternatives.push_back({rule, sequence.size()});
        if (sequence.empty()) note(rule);
      }
    }
    while (!found.empty()) {
      const std::size_t rule = found.back();
      found.pop_back();
      for (const std::size_t use : used_in[rule]) {
        if (--alternatives[use].left == 0) note(alternatives[use].rule);
      }
    }
    return result;
  }

  // A rule that can begin with itself has no first byte. Depth first, without recursion: chains may be long.
  void refuse_left_recursion() const {
    const std::vector<bool> empty = nullable();
    std::vector<std::vector<std::int32_t>> begins(rules_.rules.size());
    for (std::size_t i = 0; i < rules_.rules.size(); ++i) {
      for (const GrammarSequence& sequence : rules_.rules[i]) {
        for (const GrammarSymbol& symbol : sequence) {
          if (!symbol.is_rule) break;
          begins[i].push_back(symbol.index);
          if (!empty[static_cast<std::size_t>(symbol.index)]) break;
        }
      }
    }
    enum class Mark : std::uint8_t { fresh, open, done };
    std::vector<Mark> marks(begins.size(), Mark::fresh);
    std::vector<std::pair<std::size_t, std::size_t>> path;  // rule, next of its beginnings
    for (std::size_t start = 0; start < begins.size(); ++start) {
      if (marks[start] == Mark::fresh) path.emplace_back(start, 0);
      while (!path.empty()) {
        auto& [rule, next] = path.back();
        marks[rule] = Mark::open;
        if (next == begins[rule].size()) {
          marks[rule] = Mark::done;
          path.pop_back();
          continue;
        }
        const auto child = static_cast<std::size_t>(begins[rule][next++]);
        if (marks[child] == Mark::open) fail_recursive(child, path);
        if (marks[child] == Mark::fresh) path.emplace_back(child, 0);
      }
    }
  }
  [[noreturn]] void fail_recursive(std::size_t rule,
                                   const std::vector<std::pair<std::size_t, std::size_t>>& path) const {
    std::string name = rules_.names[rule];
    for (auto entry = path.rbegin(); entry != path.rend() && name.empty(); ++entry)
      name = rules_.names[entry->first];
    fail(ErrorKind::bad_input,
         "grammar: rule '{}' can begin with itself (or repeats nothing); write the repetition to the right",
         name);
  }

  struct HashBytes {
    std::size_t operator()(const ByteSet& set) const { return std::hash<ByteSet>()(set); }
  };

  std::string_view text_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  std::size_t symbols_ = 0;
  GrammarRules rules_;
  std::vector<bool> defined_;
  std::vector<std::size_t> first_use_;
  std::unordered_map<std::string, std::int32_t> by_name_;
  std::unordered_map<ByteSet, std::int32_t, HashBytes> by_bytes_;
};

}  // namespace

GrammarRules parse_gbnf(std::string_view text) { return GbnfParser(text).parse(); }

}  // namespace tessera::engine
