// Filters that lay out a text: indent, truncate, wordwrap, striptags, pprint.
#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/representation.h"
#include "text/jinja/text_operations.h"

namespace tessera::text::jinja {
namespace {

Value indent(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("indent", call, {"width", "first", "blank"});
  Budget& budget = interpreter.budget();
  TextBuilder spaces(&budget);
  if (arguments.given(0) && arguments.at(0).is_text()) {
    spaces.append(arguments.text(0));
  } else {
    spaces.append_spaces(arguments.integer(0, 4));
  }
  const Value indention = spaces.finish();
  const bool first = arguments.truth(interpreter, 1, false);
  const bool blank = arguments.truth(interpreter, 2, false);
  // One line break is added, so that what ends in one keeps it.
  const Value whole = interpreter.binary(Operator::add, value, interpreter.text("\n"));
  TextBuilder out(&budget);
  if (first) out.append(indention.text());
  bool is_first = true;
  for (const Value& line : split_lines(budget, whole.text(), false)) {
    if (!std::exchange(is_first, false)) {
      out.append("\n");
      if (blank || !line.text().bytes.empty()) out.append(indention.text());
    }
    out.append(line.text());
  }
  return out.finish(whole.text().markup);
}

Value truncate(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("truncate", call, {"length", "killwords", "end", "leeway"});
  const Text& text = require_text("truncate", value);
  Budget& budget = interpreter.budget();
  const Value end = arguments.given(2) ? arguments.at(2) : Value::constant("...");
  const Text& end_text = require_text("truncate", end);
  const std::int64_t length = arguments.integer(0, 255);
  const std::int64_t leeway = arguments.find_some(3) != nullptr ? arguments.integer(3, 5) : 5;
  if (length < end_text.length || leeway < 0) {
    fail(ErrorKind::bad_input, "truncate: expected a length of at least {} and a leeway of at least 0",
         end_text.length);
  }
  if (text.length <= leeway || text.length - leeway <= length) return value;
  const std::size_t cut = byte_offset(text, length - end_text.length);
  std::size_t keep = cut;
  if (!arguments.truth(interpreter, 1, false)) {
    const std::size_t space = std::string_view(text.bytes).substr(0, cut).rfind(' ');
    if (space != std::string_view::npos) keep = space;
  }
  TextBuilder out(&budget);
  out.append(text, 0, keep);
  out.append(end_text);
  return out.finish(text.markup);
}

// Python's textwrap: words, the whitespace between them, and hyphens that a line may be broken behind.
class Wrapper {
 public:
  Wrapper(std::int64_t width, bool break_long_words, bool break_on_hyphens)
      : width_(static_cast<std::size_t>(width)),
        break_long_words_(break_long_words),
        hyphens_(break_on_hyphens) {}

  std::vector<std::u32string> wrap(const std::u32string& text) {
    std::vector<std::u32string> chunks = split(text);
    std::ranges::reverse(chunks);
    std::vector<std::u32string> lines;
    while (!chunks.empty()) {
      std::vector<std::u32string> line;
      std::size_t length = 0;
      if (is_blank(chunks.back()) && !lines.empty()) chunks.pop_back();
      while (!chunks.empty() && length + chunks.back().size() <= width_) {
        length += chunks.back().size();
        line.push_back(std::move(chunks.back()));
        chunks.pop_back();
      }
      if (!chunks.empty() && chunks.back().size() > width_) handle_long_word(chunks, line, length);
      if (!line.empty() && is_blank(line.back())) line.pop_back();
      if (line.empty()) continue;
      std::u32string joined;
      for (const std::u32string& chunk : line) joined += chunk;
      lines.push_back(std::move(joined));
    }
    return lines;
  }

 private:
  // textwrap knows ASCII whitespace only.
  static bool is_wrap_space(char32_t c) { return c == ' ' || (c >= 0x09 && c <= 0x0D); }
  static bool is_blank(const std::u32string& chunk) { return std::ranges::all_of(chunk, is_space); }
  static bool is_word_character(char32_t c) { return c == '_' || is_alphanumeric(c); }
  static bool is_letter(char32_t c) {
    return is_word_character(c) && !is_decimal(c) && c != '_' && !is_digit(c);
  }

  std::vector<std::u32string> split(const std::u32string& text) const {
    std::vector<std::u32string> chunks;
    for (std::size_t position = 0; position < text.size();) {
      const std::size_t begin = position;
      if (is_wrap_space(text[position])) {
        while (position < text.size() && is_wrap_space(text[position])) ++position;
      } else {
        position = word_end(text, position);
      }
      chunks.push_back(text.substr(begin, position - begin));
    }
    return chunks;
  }

  // A word ends at whitespace, around a dash (--), or behind a hyphen between letters.
  std::size_t word_end(const std::u32string& text, std::size_t begin) const {
    const auto at = [&](std::size_t index) { return index < text.size() ? text[index] : U' '; };
    const auto is_punctuated = [&](std::size_t index) {
      const char32_t c = at(index);
      return is_word_character(c) || c == '!' || c == '"' || c == '\'' || c == '&' || c == '.' || c == ',' ||
             c == '?';
    };
    if (hyphens_ && at(begin) == '-' && at(begin + 1) == '-' && begin > 0 && is_punctuated(begin - 1)) {
      std::size_t end = begin;
      while (at(end) == '-') ++end;
      if (is_word_character(at(end))) return end;
    }
    std::size_t end = begin;
    while (end < text.size() && !is_wrap_space(text[end])) {
      if (hyphens_ && end > begin && text[end] == '-') {
        const bool letters_before = end >= 2 && end - begin >= 2 && is_letter(at(end - 1)) &&
                                    (is_letter(at(end - 2)) || at(end - 2) == '-');
        const bool letters_behind = is_letter(at(end + 1)) && (is_letter(at(end + 2)) || at(end + 2) == '-');
        if (letters_before && letters_behind) return end + 1;
        std::size_t dash_end = end;
        while (at(dash_end) == '-') ++dash_end;
        if (dash_end - end >= 2 && is_punctuated(end - 1) && is_word_character(at(dash_end))) return end;
      }
      ++end;
    }
    return end;
  }

  void handle_long_word(std::vector<std::u32string>& chunks, std::vector<std::u32string>& line,
                        std::size_t length) const {
    const std::size_t space = width_ < 1 ? 1 : width_ - length;
    if (!break_long_words_) {
      if (line.empty()) {
        line.push_back(std::move(chunks.back()));
        chunks.pop_back();
      }
      return;
    }
    std::u32string& chunk = chunks.back();
    std::size_t end = space;
    if (hyphens_ && chunk.size() > space) {
      const std::size_t hyphen = chunk.substr(0, space).rfind(U'-');
      if (hyphen != std::u32string::npos && hyphen > 0 &&
          chunk.substr(0, hyphen).find_first_not_of(U'-') != std::u32string::npos) {
        end = hyphen + 1;
      }
    }
    line.push_back(chunk.substr(0, end));
    chunk.erase(0, end);
  }

  std::size_t width_;
  bool break_long_words_, hyphens_;
};

Value wordwrap(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("wordwrap", call,
                            {"width", "break_long_words", "wrapstring", "break_on_hyphens"});
  Budget& budget = interpreter.budget();
  const Text& text = require_text("wordwrap", value);
  const std::int64_t width = arguments.integer(0, 79);
  if (width <= 0) fail(ErrorKind::bad_input, "wordwrap: expected a width above 0, found {}", width);
  const Value wrapstring = arguments.find_some(2) != nullptr ? arguments.at(2) : Value::constant("\n");
  const Text& separator = require_text("wordwrap", wrapstring);
  const MemoryCharge charge(&budget, text.bytes.size() * 8);
  budget.step(text.bytes.size());
  Wrapper wrapper(width, arguments.truth(interpreter, 1, true), arguments.truth(interpreter, 3, true));
  TextBuilder out(&budget);
  bool first_paragraph = true;
  for (const Value& paragraph : split_lines(budget, text, false)) {
    if (!std::exchange(first_paragraph, false)) out.append(separator);
    std::u32string characters;
    const std::string& bytes = paragraph.text().bytes;
    for (std::size_t position = 0; position < bytes.size();) characters += next_code_point(bytes, position);
    bool first_line = true;
    for (const std::u32string& line : wrapper.wrap(characters)) {
      if (!std::exchange(first_line, false)) out.append(separator);
      std::string encoded;
      for (const char32_t c : line) append_code_point(encoded, c);
      out.append(encoded, has_literal(text));
    }
  }
  return out.finish();
}

std::optional<std::string_view> entity_character(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kEntities[] = {
      {"amp", "&"},  {"lt", "<"},  {"gt", ">"},         {"quot", "\""},
      {"#34", "\""}, {"#39", "'"}, {"nbsp", "\xC2\xA0"}};
  for (const auto& [entity, character] : kEntities) {
    if (entity == name) return character;
  }
  return std::nullopt;
}

// Comments and tags go, whitespace shrinks to single blanks, the common entities become characters.
Value striptags(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("striptags", call, {});
  const Value whole = interpreter.to_text(value);
  const bool literal = has_literal(whole.text());
  interpreter.budget().step(whole.text().bytes.size() / 4);
  std::string text = whole.text().bytes;
  const auto remove = [&text](std::string_view open, std::string_view close) {
    std::string kept;
    std::size_t position = 0;
    while (true) {
      const std::size_t begin = text.find(open, position);
      const std::size_t end = begin == std::string::npos ? begin : text.find(close, begin);
      if (end == std::string::npos) break;
      kept.append(text, position, begin - position);
      position = end + close.size();
    }
    text = kept + text.substr(position);
  };
  remove("<!--", "-->");
  remove("<", ">");
  std::string result;
  for (const Value& word :
       split_text(interpreter.budget(), Value::constant(text).text(), nullptr, -1, false)) {
    if (!result.empty()) result += ' ';
    result += word.text().bytes;
  }
  std::string unescaped;
  for (std::size_t position = 0; position < result.size();) {
    const std::size_t end = result[position] == '&' ? result.find(';', position) : std::string::npos;
    const auto character =
        end != std::string::npos && end - position < 8
            ? entity_character(std::string_view(result).substr(position + 1, end - position - 1))
            : std::nullopt;
    if (character) {
      unescaped += *character;
      position = end + 1;
    } else {
      unescaped += result[position++];
    }
  }
  return make_text(&interpreter.budget(), unescaped, literal);
}

// Dictionaries in pprint() are sorted by key where the keys have an order.
Value sorted_dicts(Interpreter& interpreter, const Value& value) {
  interpreter.budget().step();
  if (value.is_sequence()) {
    std::vector<Value> items;
    for (const Value& item : value.sequence().items) items.push_back(sorted_dicts(interpreter, item));
    return value.is_list() ? Value::list(std::move(items), &interpreter.budget())
                           : Value::tuple(std::move(items), &interpreter.budget());
  }
  if (!value.is_dict()) return value;
  std::vector<Dict::Item> items = value.dict().items();
  std::ranges::stable_sort(items, [&](const Dict::Item& left, const Dict::Item& right) {
    return less(left.first, right.first, &interpreter.budget());
  });
  auto dict = std::make_shared<Dict>(&interpreter.budget());
  for (const auto& [key, item] : items) dict->set(key, sorted_dicts(interpreter, item));
  return Value(DictPtr(std::move(dict)));
}

Value pprint(Interpreter& interpreter, const Value& value, const Call& call) {
  const Arguments arguments("pprint", call, {});
  TextBuilder out(&interpreter.budget());
  append_representation(interpreter, out, sorted_dicts(interpreter, value));
  constexpr std::int64_t kLine = 80;
  Value text = out.finish();
  if (text.text().length > kLine && (value.is_text() || value.is_sequence() || value.is_dict())) {
    fail(ErrorKind::unsupported,
         "pprint: expected a value that fits one line of {} characters, found a longer one", kLine);
  }
  return text;
}

constexpr auto kFilters = std::to_array<NamedFunction>({
    {"indent", indent},
    {"pprint", pprint},
    {"striptags", striptags},
    {"truncate", truncate},
    {"wordwrap", wordwrap},
});

}  // namespace

std::span<const NamedFunction> layout_filters() { return kFilters; }

}  // namespace tessera::text::jinja
