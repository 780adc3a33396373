#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "base/error.h"
#include "text/encode_work.h"
#include "text/unicode.h"

namespace tessera::text {
namespace {

// White_Space of Unicode, to stand in a character class; PCRE2's own \s takes U+180E too.
constexpr std::string_view kSpaces =
    R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNotSpaces =
    R"(\x{0}-\x{8}\x{e}-\x{1f}!-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027})"
    R"(\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";

constexpr std::uint32_t kMatchLimit = 50'000'000;  // steps of one match
constexpr std::uint32_t kHeapLimitKib = 256 * 1024;
constexpr std::size_t kJitStackMaximum = std::size_t{8} << 20;
constexpr std::size_t kPatternLimit = std::size_t{1} << 16;  // bytes

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : pattern_(pattern), where_(where) {}

  std::string run() {
    while (position_ < pattern_.size()) {
      const char c = pattern_[position_];
      if (c == '\\') {
        escape();
      } else if (class_depth_ > 0) {
        in_class(c);
      } else if (c == '[') {
        open_class();
      } else if (pattern_.substr(position_).starts_with("(?m")) {
        unsupported("option (?m)");
      } else {
        copy(1);
      }
    }
    return std::move(output_);
  }

 private:
  [[noreturn]] void unsupported(std::string_view what) const {
    fail(ErrorKind::unsupported, "{}: {} at byte {} of the pattern '{}' is not supported", where_, what,
         position_, printable(pattern_, 200));
  }

  void copy(std::size_t count) {
    output_ += pattern_.substr(position_, count);
    position_ += count;
  }

  void open_class() {
    ++class_depth_;
    copy(1);
    if (position_ < pattern_.size() && pattern_[position_] == '^') copy(1);
    if (position_ < pattern_.size() && pattern_[position_] == ']') {
      output_ += "\\]";
      ++position_;
    }
  }

  void in_class(char c) {
    const std::string_view rest = pattern_.substr(position_);
    if (rest.starts_with("[:")) {
      const std::size_t end = rest.find(":]");
      if (end == std::string_view::npos) unsupported("'[' in a character class");
      copy(end + 2);
    } else if (c == '[') {
      unsupported("a character class within a character class");
    } else if (rest.starts_with("&&")) {
      unsupported("an intersection of character classes");
    } else {
      if (c == ']') --class_depth_;
      copy(1);
    }
  }

  void escape() {
    if (position_ + 1 >= pattern_.size()) unsupported("a backslash at the end");
    const auto set = [&](std::string_view members, bool negated) {
      if (class_depth_ == 0) {
        output_ += fmt::format("[{}{}]", negated ? "^" : "", members);
      } else if (negated) {
        unsupported("a negated class within a character class");
      } else {
        output_ += members;
      }
      position_ += 2;
    };
    switch (pattern_[position_ + 1]) {
      case 's':
        return set(kSpaces, false);
      case 'S':
        if (class_depth_ > 0) return set(kNotSpaces, false);
        return set(kSpaces, true);
      case 'w':
        return set(kWord, false);
      case 'W':
        return set(kWord, true);
      case 'h':
      case 'H':
      case 'G':
      case 'K':
      case 'R':
      case 'X':
      case 'y':
      case 'Y':
      case 'O':
      case 'N':
      case 'g':
      case 'C':
      case 'Q':
      case 'E':
        unsupported(fmt::format("the escape \\{}", pattern_[position_ + 1]));
      default:
        copy(2);
    }
  }

  std::string_view pattern_;
  const std::string& where_;
  std::size_t position_ = 0;
  int class_depth_ = 0;
  std::string output_;
};

std::string error_text(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

template <auto Free>
struct Deleter {
  template <typename Object>
  void operator()(Object* object) const {
    Free(object);
  }
};

// What one thread needs to match: made on first use, shared by all expressions.
struct MatchState {
  std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>> data{pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>> context{
      pcre2_match_context_create(nullptr)};
  std::unique_ptr<pcre2_jit_stack, Deleter<pcre2_jit_stack_free>> stack{
      pcre2_jit_stack_create(32 * 1024, kJitStackMaximum, nullptr)};

  MatchState() {
    if (!data || !context || !stack) fail(ErrorKind::limit, "out of memory for regular expressions");
    pcre2_set_match_limit(context.get(), kMatchLimit);
    pcre2_set_heap_limit(context.get(), kHeapLimitKib);
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

MatchState& match_state() {
  static thread_local MatchState state;
  return state;
}

// A character of `wanted`'s category that PCRE2 knows and that takes as many bytes; the same one when there
// is none.
CodePoint known_character(CodePoint wanted) {
  struct Row {
    CodePoint three_bytes = 0;
    CodePoint four_bytes = 0;
  };
  static constexpr std::array<Row, 29> kKnown = {{
      {},
      {},
      {0x200b, 0xe0001},
      {},
      {0x1e00, 0x10400},  // Cn Cc Cf Co Lu
      {0x1e01, 0x10428},
      {0x1f88, 0},
      {0x1d2c, 0x16b40},
      {0x905, 0x10450},
      {0x941, 0x11038},  // Ll Lt Lm Lo Mn
      {0x903, 0x11000},
      {0x20dd, 0},
      {0x966, 0x104a0},
      {0x2160, 0x10140},
      {0x2460, 0x10107},  // Mc Me Nd Nl No
      {0x203f, 0},
      {0x2010, 0x10ead},
      {0x2045, 0},
      {0x2046, 0},
      {0x2018, 0},  // Pc Pd Ps Pe Pi
      {0x2019, 0},
      {0x2020, 0x10100},
      {0x2044, 0x1d6c1},
      {0x20a0, 0x1e2ff},
      {0x309b, 0x1f3fb},  // Pf Po Sm Sc Sk
      {0x2100, 0x1d000},
      {0x2000, 0},
      {0x2028, 0},
      {0x2029, 0},  // So Zs Zl Zp
  }};
  const Category found = category(wanted);
  if (found == Category::Lo && wanted >= 0x20000) return 0x20000;  // Han stays Han
  const Row& row = kKnown[static_cast<std::size_t>(found)];
  const CodePoint known = wanted >= 0x10000 ? row.four_bytes : row.three_bytes;
  return known == 0 ? wanted : known;
}

}  // namespace

struct Regex::Program {
  std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>> code;
  std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>> counted;  // made by the first count
  std::string pattern;
  std::string where;
};

std::string translate_pattern(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

Regex::Regex(std::string_view pattern, const std::string& where) : program_(std::make_unique<Program>()) {
  if (pattern.size() > kPatternLimit) {
    fail(ErrorKind::bad_input, "{}: expected a pattern of at most {} bytes, found {}", where, kPatternLimit,
         pattern.size());
  }
  const std::string translated = translate_pattern(pattern, where);
  const std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>> context(
      pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 200);
  int error = 0;
  PCRE2_SIZE offset = 0;
  const auto options =
      static_cast<std::uint32_t>(PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C);
  program_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                     options, &error, &offset, context.get()));
  program_->where = where;
  program_->pattern = translated;
  if (!program_->code) {
    fail(ErrorKind::bad_input, "{}: expected a regular expression, found '{}': {} at byte {}", where,
         printable(pattern, 200), error_text(error), offset);
  }
  pcre2_jit_compile(program_->code.get(), PCRE2_JIT_COMPLETE);  // without JIT it still runs, slower
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

// The smallest power of two that is enough as a match limit, over PCRE2's interpreter without the
// optimizations that would hide a step (possessive loops count nothing).
void Regex::count_steps(std::string_view text, std::size_t from) const {
  if (!program_->counted) {
    const auto options = static_cast<std::uint32_t>(PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE |
                                                    PCRE2_NO_AUTO_POSSESS | PCRE2_NO_START_OPTIMIZE);
    int error = 0;
    PCRE2_SIZE offset = 0;
    program_->counted.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(program_->pattern.data()),
                                          program_->pattern.size(), options, &error, &offset, nullptr));
  }
  MatchState& state = match_state();
  std::uint32_t limit = 8;
  for (int count = PCRE2_ERROR_MATCHLIMIT; count == PCRE2_ERROR_MATCHLIMIT && limit < kMatchLimit;) {
    limit *= 2;
    pcre2_set_match_limit(state.context.get(), limit);
    count = pcre2_match(program_->counted.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                        PCRE2_NO_UTF_CHECK, state.data.get(), state.context.get());
  }
  pcre2_set_match_limit(state.context.get(), kMatchLimit);
  encode_work().regex_steps += limit;
}

std::optional<TextRange> Regex::find(std::string_view text, std::size_t from) const {
  if (encode_work().count_regex_steps) count_steps(text, from);
  MatchState& state = match_state();
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int count = pcre2_match(program_->code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK,
                          state.data.get(), state.context.get());
  if (count ==
      PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its frames on the heap, within its limit
    count = pcre2_match(program_->code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                        state.data.get(), state.context.get());
  }
  if (count == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (count < 0) {
    fail(ErrorKind::limit,
         "{}: the regular expression cannot be matched at byte {} of a text of {} bytes: {}", program_->where,
         from, text.size(), error_text(count));
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(state.data.get());
  return TextRange{range[0], range[1]};
}

std::string_view Regex::with_known_characters(std::string_view text, std::string& storage) {
  storage.clear();
  for (std::size_t position = 0; position < text.size();) {
    if (static_cast<unsigned char>(text[position]) < 0xe0) {  // nothing below U+0800 is that young
      ++position;
      continue;
    }
    const DecodedCharacter character = decode_character(text, position);
    if ((character_bits(character.code_point) & character::kNewer) != 0) {
      if (storage.empty()) storage = text;
      std::string known;
      append_utf8(known, known_character(character.code_point));
      if (known.size() == character.length) storage.replace(position, known.size(), known);
    }
    position += character.length;
  }
  return storage.empty() ? text : std::string_view(storage);
}

}  // namespace tessera::text
