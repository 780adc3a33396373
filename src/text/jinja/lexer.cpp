#include "text/jinja/lexer.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "text/jinja/characters.h"
#include "text/jinja/string_literal.h"
#include "text/jinja/text_builder.h"

namespace tessera::text::jinja {
namespace {

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

// Every line break becomes \n, and one at the very end is dropped.
std::string normalize_source(std::string_view source) {
  std::string text = normalize_newlines(source);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& name) : name_(name), source_(normalize_source(source)) {}

  std::vector<Token> run() {
    while (position_ < source_.size()) lex_root();
    tokens_.push_back({TokenType::end, line_, "", 0, 0});
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void complain(const std::string& what) const {
    throw_error(ErrorKind::bad_input, fmt::format("{}:{}: {}", name_, line_, what));
  }
  bool at(std::string_view text) const {
    return std::string_view(source_).substr(position_).starts_with(text);
  }
  char peek(std::size_t ahead = 0) const {
    return position_ + ahead < source_.size() ? source_[position_ + ahead] : '\0';
  }
  // Moves on by `count` bytes, counting lines.
  void advance(std::size_t count) {
    line_ +=
        static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(position_),
                                    source_.begin() + static_cast<std::ptrdiff_t>(position_ + count), '\n'));
    position_ += count;
    line_starting_ = count > 0 ? source_[position_ - 1] == '\n' : line_starting_;
  }
  std::size_t skip_space_from(std::size_t position) const {
    while (position < source_.size()) {
      std::size_t next = position;
      if (!is_space(next_code_point(source_, next))) break;
      position = next;
    }
    return position;
  }
  void push(TokenType type, std::string text = {}) {
    tokens_.push_back({type, line_, std::move(text), 0, 0});
  }

  void lex_root();
  std::size_t raw_begin_length() const;
  void push_data(std::size_t end, char sign, bool is_variable);
  void lex_comment();
  void lex_raw();
  bool lex_tag_end(bool is_variable);
  void lex_tag(bool is_variable);
  void lex_number();
  bool lex_float();
  void lex_integer();
  void lex_name();
  bool lex_string();
  void lex_operator();
  std::size_t digits_end(std::size_t from) const;

  const std::string& name_;
  std::string source_;
  std::size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::string brackets_;  // closing brackets still to come inside a tag
  std::vector<Token> tokens_;
};

// The length of "{%- raw -%}" and what it strips, or 0.
std::size_t Lexer::raw_begin_length() const {
  std::size_t position = position_ + 2;
  if (position < source_.size() && (source_[position] == '-' || source_[position] == '+')) ++position;
  position = skip_space_from(position);
  if (!std::string_view(source_).substr(position).starts_with("raw")) return 0;
  position = skip_space_from(position + 3);
  const std::string_view rest = std::string_view(source_).substr(position);
  if (rest.starts_with("-%}")) return skip_space_from(position + 3) - position_;
  if (rest.starts_with("%}")) return position + 2 - position_;
  return 0;
}

// Data up to `end`, where a tag with `sign` begins: '-' takes all whitespace before it; a block or comment
// that begins its line takes the indentation, unless its sign is '+'.
void Lexer::push_data(std::size_t end, char sign, bool is_variable) {
  std::string_view text = std::string_view(source_).substr(position_, end - position_);
  if (sign == '-') {
    std::size_t keep = text.size();
    while (keep > 0) {
      const std::size_t previous = previous_boundary(text, keep);
      std::size_t decode = previous;
      if (!is_space(next_code_point(text, decode))) break;
      keep = previous;
    }
    text = text.substr(0, keep);
  } else if (sign != '+' && !is_variable) {
    const std::size_t newline = text.rfind('\n');
    const std::size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
    const bool only_space = skip_space_from(position_ + line_begin) >= end;
    if ((line_begin > 0 || line_starting_) && only_space) text = text.substr(0, line_begin);
  }
  if (!text.empty()) push(TokenType::data, std::string(text));
  advance(end - position_);
}

void Lexer::lex_root() {
  std::size_t begin = position_;
  while (true) {
    begin = source_.find('{', begin);
    if (begin == std::string::npos || begin + 1 >= source_.size()) {
      push(TokenType::data, source_.substr(position_));
      advance(source_.size() - position_);
      return;
    }
    const char kind = source_[begin + 1];
    if (kind == '%' || kind == '{' || kind == '#') break;
    ++begin;
  }
  const char kind = source_[begin + 1];
  const char after = begin + 2 < source_.size() ? source_[begin + 2] : '\0';
  const char sign = after == '-' || after == '+' ? after : '\0';
  push_data(begin, sign, kind == '{');
  if (kind == '%') {
    if (const std::size_t length = raw_begin_length(); length > 0) {
      advance(length);
      return lex_raw();
    }
  }
  if (kind != '#') push(kind == '%' ? TokenType::block_begin : TokenType::variable_begin);
  advance(sign == '\0' ? 2 : 3);
  if (kind == '#') return lex_comment();
  lex_tag(kind == '{');
}

void Lexer::lex_comment() {
  if (position_ >= source_.size()) return;
  const std::size_t close = source_.find("#}", position_);
  if (close == std::string::npos)
    complain("expected '#}' at the end of a comment, found the end of the template");
  const char sign = close > position_ ? source_[close - 1] : '\0';
  std::size_t end = close + 2;
  if (sign == '-') {
    end = skip_space_from(end);
  } else if (sign != '+' && end < source_.size() && source_[end] == '\n') {
    ++end;
  }
  advance(end - position_);
}

void Lexer::lex_raw() {
  if (position_ >= source_.size()) return;
  for (std::size_t begin = source_.find("{%", position_); begin != std::string::npos;
       begin = source_.find("{%", begin + 1)) {
    std::size_t cursor = begin + 2;
    const char sign = cursor < source_.size() ? source_[cursor] : '\0';
    if (sign == '-' || sign == '+') ++cursor;
    cursor = skip_space_from(cursor);
    if (!std::string_view(source_).substr(cursor).starts_with("endraw")) continue;
    cursor = skip_space_from(cursor + 6);
    const std::string_view rest = std::string_view(source_).substr(cursor);
    std::size_t end = 0;
    if (rest.starts_with("-%}")) end = skip_space_from(cursor + 3);
    if (rest.starts_with("+%}")) end = cursor + 3;
    if (rest.starts_with("%}")) end = cursor + (rest.starts_with("%}\n") ? 3 : 2);
    if (end == 0) continue;
    push_data(begin, sign, false);
    return advance(end - position_);
  }
  complain("expected '{% endraw %}', found the end of the template");
}

bool Lexer::lex_tag_end(bool is_variable) {
  const std::string_view close = is_variable ? "}}" : "%}";
  std::size_t length = 0;
  if (peek() == '-' && std::string_view(source_).substr(position_ + 1).starts_with(close)) {
    length = skip_space_from(position_ + 3) - position_;
  } else if (!is_variable && at("+%}")) {
    length = 3;
  } else if (at(close)) {
    length = !is_variable && peek(2) == '\n' ? 3 : 2;
  }
  if (length == 0 || !brackets_.empty()) return false;
  push(is_variable ? TokenType::variable_end : TokenType::block_end);
  advance(length);
  return true;
}

void Lexer::lex_tag(bool is_variable) {
  brackets_.clear();
  while (position_ < source_.size()) {
    if (lex_tag_end(is_variable)) return;
    const std::size_t after_space = skip_space_from(position_);
    if (after_space > position_) {
      advance(after_space - position_);
      continue;
    }
    std::size_t cursor = position_;
    const char32_t c = next_code_point(source_, cursor);
    if (is_ascii_digit(peek())) {
      lex_number();
    } else if (is_identifier_part(c)) {
      lex_name();
    } else if ((c == '\'' || c == '"') && lex_string()) {
      continue;
    } else {
      lex_operator();
    }
  }
}

std::size_t Lexer::digits_end(std::size_t from) const {
  std::size_t end = from;
  while (end < source_.size()) {
    if (is_ascii_digit(source_[end])) {
      ++end;
    } else if (source_[end] == '_' && end > from && end + 1 < source_.size() &&
               is_ascii_digit(source_[end + 1])) {
      ++end;
    } else {
      break;
    }
  }
  return end;
}

bool Lexer::lex_float() {
  if (position_ > 0 && source_[position_ - 1] == '.') return false;  // the 1.2 of x.1.2 is two subscripts
  std::size_t end = digits_end(position_);
  bool is_float = false;
  if (end + 1 < source_.size() && source_[end] == '.' && is_ascii_digit(source_[end + 1])) {
    end = digits_end(end + 1);
    is_float = true;
  }
  if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
    std::size_t exponent = end + 1;
    if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
    const std::size_t exponent_end = digits_end(exponent);
    if (exponent_end > exponent) {
      end = exponent_end;
      is_float = true;
    }
  }
  if (!is_float) return false;
  std::string digits = source_.substr(position_, end - position_);
  std::erase(digits, '_');
  push(TokenType::floating, digits);
  tokens_.back().floating = parse_double(digits);
  advance(end - position_);
  return true;
}

void Lexer::lex_integer() {
  int base = 10;
  std::size_t begin = position_;
  std::size_t end = position_;
  const auto belongs = [&](char c) {
    const char lower = static_cast<char>(c | 0x20);
    const int digit = is_ascii_digit(c) ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
    return digit < base;
  };
  const auto scan = [&](std::size_t from) {
    std::size_t cursor = from;
    while (cursor < source_.size()) {
      if (belongs(source_[cursor])) {
        ++cursor;
      } else if (source_[cursor] == '_' && cursor + 1 < source_.size() && belongs(source_[cursor + 1])) {
        cursor += 2;
      } else {
        break;
      }
    }
    return cursor;
  };
  if (peek() == '0') {
    const char kind = static_cast<char>(peek(1) | 0x20);
    base = kind == 'b' ? 2 : kind == 'o' ? 8 : kind == 'x' ? 16 : 10;
    if (base != 10) {
      begin = position_ + 2;
      end = scan(begin);
    }
    if (base == 10 || end == begin) {  // a run of zeros: what follows is another token
      base = 1;
      begin = position_;
      end = scan(begin);
      base = 10;
    }
  } else {
    end = scan(begin);
  }
  std::string digits = source_.substr(begin, end - begin);
  std::erase(digits, '_');
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc{} || stop != digits.data() + digits.size()) {
    complain(fmt::format("expected an integer below 2^63, found '{}'", printable(digits)));
  }
  push(TokenType::integer, digits);
  tokens_.back().integer = value;
  advance(end - position_);
}

void Lexer::lex_number() {
  if (!lex_float()) lex_integer();
}

void Lexer::lex_name() {
  std::size_t end = position_;
  while (end < source_.size()) {
    std::size_t next = end;
    if (!is_identifier_part(next_code_point(source_, next))) break;
    end = next;
  }
  const std::string text = source_.substr(position_, end - position_);
  std::size_t cursor = 0;
  if (!is_identifier_start(next_code_point(text, cursor))) {
    complain(fmt::format("expected a name that begins with a letter, found '{}'", printable(text)));
  }
  push(TokenType::name, text);
  advance(end - position_);
}

bool Lexer::lex_string() {
  const char quote = peek();
  std::size_t end = position_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size()) return false;
  std::string problem;
  const auto content =
      unescape_string_literal(std::string_view(source_).substr(position_ + 1, end - position_ - 1), problem);
  if (!content) complain(problem);
  push(TokenType::string, *content);
  advance(end + 1 - position_);
  return true;
}

void Lexer::lex_operator() {
  static constexpr std::array<std::string_view, 6> kPairs = {"//", "**", "==", "!=", ">=", "<="};
  static constexpr std::string_view kSingles = "+-/*%~[](){}><=.:|,;";
  std::string text(1, peek());
  for (const std::string_view pair : kPairs) {
    if (at(pair)) text = pair;
  }
  if (text.size() == 1 && kSingles.find(text[0]) == std::string_view::npos) {
    complain(fmt::format("expected an expression or the end of the tag, found the character '{}'",
                         printable(source_.substr(position_, 4))));
  }
  if (text == "(") brackets_ += ')';
  if (text == "[") brackets_ += ']';
  if (text == "{") brackets_ += '}';
  if (text == ")" || text == "]" || text == "}") {
    if (brackets_.empty()) complain(fmt::format("expected the end of the tag, found '{}'", text));
    if (brackets_.back() != text[0])
      complain(fmt::format("expected '{}', found '{}'", brackets_.back(), text));
    brackets_.pop_back();
  }
  const std::size_t size = text.size();
  push(TokenType::punctuation, std::move(text));
  advance(size);
}

}  // namespace

std::vector<Token> tokenize(std::string_view source, const std::string& name) {
  if (!is_valid_utf8(source)) {
    throw_error(ErrorKind::bad_input, fmt::format("{}:1: expected UTF-8 text, found invalid bytes", name));
  }
  return Lexer(source, name).run();
}

}  // namespace tessera::text::jinja
