// The methods of Python's str.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/jinja/builtins.h"
#include "text/jinja/formatting.h"
#include "text/jinja/html.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/text_operations.h"

namespace tessera::text::jinja {
namespace {

// The part of a text that find(sub, start, end) and its relatives look at, in bytes.
struct Window {
  std::size_t begin, end;
  bool valid;  // false when start lies behind end
};

Window read_window(const Arguments& arguments, const Text& text, std::size_t start_index) {
  const auto read = [&](std::size_t index, std::int64_t otherwise) {
    const Value* value = arguments.find_some(index);
    std::int64_t place = value != nullptr ? require_integer(arguments.function(), *value) : otherwise;
    if (place < 0) place = std::max<std::int64_t>(place + text.length, 0);
    return place;
  };
  const std::int64_t start = read(start_index, 0);
  const std::int64_t end = std::min(read(start_index + 1, text.length), text.length);
  if (start > end) return {0, 0, false};
  return {byte_offset(text, start), byte_offset(text, end), true};
}

std::int64_t code_points_before(const Text& text, std::size_t offset) {
  return text.is_ascii() ? static_cast<std::int64_t>(offset)
                         : count_code_points(std::string_view(text.bytes).substr(0, offset));
}

// The code point where the argument is found, or -1.
std::int64_t find_argument(Interpreter& interpreter, std::string_view name, const Value& self,
                           const Call& call, bool last) {
  const Arguments arguments(name, call, {"sub", "start", "end"}, 1, true);
  const Text& text = self.text();
  const Text& needle = arguments.text(0);
  interpreter.budget().scan(text.bytes.size());
  const Window window = read_window(arguments, text, 1);
  if (!window.valid) return -1;
  const std::string_view view = std::string_view(text.bytes).substr(window.begin, window.end - window.begin);
  const std::size_t found = last ? find_last_bytes(view, needle.bytes) : find_bytes(view, needle.bytes);
  return found == std::string_view::npos ? -1 : code_points_before(text, window.begin + found);
}

Value find(Interpreter& interpreter, const Value& self, const Call& call) {
  return Value::integer(find_argument(interpreter, "find", self, call, false));
}

Value rfind(Interpreter& interpreter, const Value& self, const Call& call) {
  return Value::integer(find_argument(interpreter, "rfind", self, call, true));
}

Value index_or_fail(Interpreter& interpreter, const Value& self, const Call& call, bool last) {
  const std::int64_t found = find_argument(interpreter, "index", self, call, last);
  if (found < 0) fail(ErrorKind::bad_input, "index: expected a text that is there, found none");
  return Value::integer(found);
}

Value index(Interpreter& interpreter, const Value& self, const Call& call) {
  return index_or_fail(interpreter, self, call, false);
}

Value rindex(Interpreter& interpreter, const Value& self, const Call& call) {
  return index_or_fail(interpreter, self, call, true);
}

Value count(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("count", call, {"sub", "start", "end"}, 1, true);
  const Text& text = self.text();
  const std::string& needle = arguments.text(0).bytes;
  interpreter.budget().scan(text.bytes.size());
  const Window window = read_window(arguments, text, 1);
  if (!window.valid) return Value::integer(0);
  const std::string_view view = std::string_view(text.bytes).substr(window.begin, window.end - window.begin);
  if (needle.empty()) return Value::integer(count_code_points(view) + 1);
  std::int64_t found = 0;
  for (std::size_t at = find_bytes(view, needle); at != std::string_view::npos;
       at = find_bytes(view, needle, at + needle.size())) {
    ++found;
  }
  return Value::integer(found);
}

bool matches_affix(Interpreter& interpreter, const Value& self, const Call& call, bool prefix) {
  const Arguments arguments(prefix ? "startswith" : "endswith", call, {"affix", "start", "end"}, 1, true);
  const Text& text = self.text();
  if (!text.is_ascii()) interpreter.budget().scan(text.bytes.size());
  const Window window = read_window(arguments, text, 1);
  const std::string_view view = std::string_view(text.bytes).substr(window.begin, window.end - window.begin);
  const auto matches = [&](const Value& affix) {
    const std::string& bytes = require_text(arguments.function(), affix).bytes;
    return window.valid && (prefix ? view.starts_with(bytes) : view.ends_with(bytes));
  };
  const Value& affix = arguments.at(0);
  if (!affix.is_tuple()) return matches(affix);
  return std::ranges::any_of(affix.sequence().items, matches);
}

Value startswith(Interpreter& interpreter, const Value& self, const Call& call) {
  return Value::boolean(matches_affix(interpreter, self, call, true));
}

Value endswith(Interpreter& interpreter, const Value& self, const Call& call) {
  return Value::boolean(matches_affix(interpreter, self, call, false));
}

Value strip_side(Interpreter& interpreter, std::string_view name, const Value& self, const Call& call,
                 Side side) {
  const Arguments arguments(name, call, {"chars"}, 0, true);
  const Text* characters = arguments.find_some(0) != nullptr ? &arguments.text(0) : nullptr;
  return strip_text(interpreter.budget(), self.text(), characters, side);
}

Value strip(Interpreter& interpreter, const Value& self, const Call& call) {
  return strip_side(interpreter, "strip", self, call, Side::both);
}
Value lstrip(Interpreter& interpreter, const Value& self, const Call& call) {
  return strip_side(interpreter, "lstrip", self, call, Side::left);
}
Value rstrip(Interpreter& interpreter, const Value& self, const Call& call) {
  return strip_side(interpreter, "rstrip", self, call, Side::right);
}

Value split_side(Interpreter& interpreter, std::string_view name, const Value& self, const Call& call,
                 bool from_right) {
  const Arguments arguments(name, call, {"sep", "maxsplit"});
  const Text* separator = arguments.find_some(0) != nullptr ? &arguments.text(0) : nullptr;
  return Value::list(
      split_text(interpreter.budget(), self.text(), separator, arguments.integer(1, -1), from_right),
      &interpreter.budget());
}

Value split(Interpreter& interpreter, const Value& self, const Call& call) {
  return split_side(interpreter, "split", self, call, false);
}
Value rsplit(Interpreter& interpreter, const Value& self, const Call& call) {
  return split_side(interpreter, "rsplit", self, call, true);
}

Value splitlines(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("splitlines", call, {"keepends"});
  return Value::list(split_lines(interpreter.budget(), self.text(), arguments.truth(interpreter, 0, false)),
                     &interpreter.budget());
}

Value partition_side(Interpreter& interpreter, const Value& self, const Call& call, bool last) {
  const Arguments arguments("partition", call, {"sep"}, 1, true);
  const Text& text = self.text();
  const std::string& separator = arguments.text(0).bytes;
  interpreter.budget().scan(text.bytes.size());
  if (separator.empty()) fail(ErrorKind::bad_input, "partition: expected a separator, found an empty text");
  Budget& budget = interpreter.budget();
  const std::size_t found = last ? find_last_bytes(text.bytes, separator) : find_bytes(text.bytes, separator);
  if (found == std::string::npos) {
    const Value empty = Value::constant("");
    return Value::tuple(
        last ? std::vector<Value>{empty, empty, self} : std::vector<Value>{self, empty, empty}, &budget);
  }
  return Value::tuple({slice_text(&budget, text, 0, found), arguments.at(0),
                       slice_text(&budget, text, found + separator.size(), text.bytes.size())},
                      &budget);
}

Value partition(Interpreter& interpreter, const Value& self, const Call& call) {
  return partition_side(interpreter, self, call, false);
}
Value rpartition(Interpreter& interpreter, const Value& self, const Call& call) {
  return partition_side(interpreter, self, call, true);
}

Value replace(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("replace", call, {"old", "new", "count"}, 2, true);
  return replace_text(interpreter.budget(), self.text(), arguments.text(0), arguments.text(1),
                      arguments.integer(2, -1));
}

Value join(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("join", call, {"iterable"}, 1, true);
  const Text& separator = self.text();
  TextBuilder out(&interpreter.budget());
  const IteratorPtr items = interpreter.iterate(arguments.at(0));
  bool first = true;
  while (auto item = items->next(interpreter)) {
    interpreter.budget().step();
    if (!std::exchange(first, false)) out.append(separator);
    const Text& text = require_text("join", *item);
    if (separator.markup && !text.markup) {
      append_escaped(out, text);
    } else {
      out.append(text);
    }
  }
  return out.finish(separator.markup);
}

Value upper(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("upper", call, {});
  return map_case(interpreter.budget(), self.text(), LetterCase::upper);
}
Value lower(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("lower", call, {});
  return map_case(interpreter.budget(), self.text(), LetterCase::lower);
}
Value casefold(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("casefold", call, {});
  return map_case(interpreter.budget(), self.text(), LetterCase::folded);
}
Value title(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("title", call, {});
  return title_text(interpreter.budget(), self.text());
}
Value capitalize(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("capitalize", call, {});
  return capitalize_text(interpreter.budget(), self.text());
}
Value swapcase(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("swapcase", call, {});
  return swap_case(interpreter.budget(), self.text());
}

Value pad_side(Interpreter& interpreter, std::string_view name, const Value& self, const Call& call,
               Side side) {
  const Arguments arguments(name, call, {"width", "fillchar"}, 1, true);
  const Value space = Value::constant(" ");
  const Text& fill = arguments.given(1) ? arguments.text(1) : space.text();
  if (fill.length != 1) fail(ErrorKind::bad_input, "{}: expected one character to fill with", name);
  return pad_text(interpreter.budget(), self.text(), arguments.integer(0, 0), fill, side);
}

Value center(Interpreter& interpreter, const Value& self, const Call& call) {
  return pad_side(interpreter, "center", self, call, Side::both);
}
Value ljust(Interpreter& interpreter, const Value& self, const Call& call) {
  return pad_side(interpreter, "ljust", self, call, Side::right);
}
Value rjust(Interpreter& interpreter, const Value& self, const Call& call) {
  return pad_side(interpreter, "rjust", self, call, Side::left);
}

Value zfill(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("zfill", call, {"width"}, 1, true);
  const Text& text = self.text();
  const std::size_t sign = text.bytes.starts_with('-') || text.bytes.starts_with('+') ? 1 : 0;
  TextBuilder out(&interpreter.budget());
  out.append(text, 0, sign);
  const std::int64_t width = arguments.integer(0, 0);
  out.append_repeated(Value::constant("0").text(), width > text.length ? width - text.length : 0);
  out.append(text, sign, text.bytes.size());
  return out.finish(text.markup);
}

Value expandtabs(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("expandtabs", call, {"tabsize"});
  const std::int64_t size = arguments.integer(0, 8);
  const Text& text = self.text();
  interpreter.budget().step(text.bytes.size() / 4);
  TextBuilder out(&interpreter.budget());
  std::int64_t column = 0;
  for (std::size_t position = 0; position < text.bytes.size();) {
    const std::size_t begin = position;
    const char32_t c = next_code_point(text.bytes, position);
    if (c == '\t') {
      const std::int64_t spaces = size > 0 ? size - column % size : 0;
      out.append_spaces(spaces);
      column += spaces;
      continue;
    }
    out.append(text, begin, position);
    column = c == '\n' || c == '\r' ? 0 : column + 1;
  }
  return out.finish(text.markup);
}

Value removeprefix(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("removeprefix", call, {"prefix"}, 1, true);
  const std::string& prefix = arguments.text(0).bytes;
  const Text& text = self.text();
  if (!text.bytes.starts_with(prefix)) return self;
  return slice_text(&interpreter.budget(), text, prefix.size(), text.bytes.size());
}

Value removesuffix(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("removesuffix", call, {"suffix"}, 1, true);
  const std::string& suffix = arguments.text(0).bytes;
  const Text& text = self.text();
  if (!text.bytes.ends_with(suffix)) return self;
  return slice_text(&interpreter.budget(), text, 0, text.bytes.size() - suffix.size());
}

Value format(Interpreter& interpreter, const Value& self, const Call& call) {
  return brace_format(interpreter, self.text(), call);
}

Value format_map(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("format_map", call, {"mapping"}, 1, true);
  if (!arguments.at(0).is_dict()) wrong_type("format_map", "a dict", arguments.at(0));
  Call named;
  for (const auto& [key, value] : arguments.at(0).dict().items()) {
    if (key.is_text()) named.keyword.emplace_back(key.text().bytes, value);
  }
  return brace_format(interpreter, self.text(), named);
}

// is...(): every character passes, and there is one.
template <bool (*Predicate)(char32_t), bool EmptyIs = false>
Value all_characters(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("is...", call, {});
  const std::string& bytes = self.text().bytes;
  interpreter.budget().scan(bytes.size());
  for (std::size_t position = 0; position < bytes.size();) {
    if (!Predicate(next_code_point(bytes, position))) return Value::boolean(false);
  }
  return Value::boolean(EmptyIs || !bytes.empty());
}

bool is_ascii_character(char32_t c) { return c < 0x80; }

Value islower(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("islower", call, {});
  interpreter.budget().scan(self.text().bytes.size());
  return Value::boolean(is_lower_text(self.text()));
}
Value isupper(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("isupper", call, {});
  interpreter.budget().scan(self.text().bytes.size());
  return Value::boolean(is_upper_text(self.text()));
}

Value istitle(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("istitle", call, {});
  interpreter.budget().scan(self.text().bytes.size());
  bool after_cased = false;
  bool any = false;
  const std::string& bytes = self.text().bytes;
  for (std::size_t position = 0; position < bytes.size();) {
    const char32_t c = next_code_point(bytes, position);
    const bool is_big = is_uppercase(c) || is_titlecase(c);
    if (is_big ? after_cased : is_lowercase(c) && !after_cased) return Value::boolean(false);
    after_cased = is_big || is_lowercase(c);
    any |= after_cased;
  }
  return Value::boolean(any);
}

Value isidentifier(Interpreter& interpreter, const Value& self, const Call& call) {
  const Arguments arguments("isidentifier", call, {});
  interpreter.budget().scan(self.text().bytes.size());
  const std::string& bytes = self.text().bytes;
  std::size_t position = 0;
  if (bytes.empty() || !is_identifier_start(next_code_point(bytes, position))) return Value::boolean(false);
  while (position < bytes.size()) {
    if (!is_identifier_part(next_code_point(bytes, position))) return Value::boolean(false);
  }
  return Value::boolean(true);
}

Value unavailable(Interpreter&, const Value&, const Call&) {
  fail(ErrorKind::unsupported,
       "expected a method that gives text or data, found one of encode, translate, maketrans");
}

constexpr auto kMethods = std::to_array<NamedFunction>({
    {"capitalize", capitalize},
    {"casefold", casefold},
    {"center", center},
    {"count", count},
    {"encode", unavailable},
    {"endswith", endswith},
    {"expandtabs", expandtabs},
    {"find", find},
    {"format", format},
    {"format_map", format_map},
    {"index", index},
    {"isalnum", all_characters<is_alphanumeric>},
    {"isalpha", all_characters<is_alphabetic>},
    {"isascii", all_characters<is_ascii_character, true>},
    {"isdecimal", all_characters<is_decimal>},
    {"isdigit", all_characters<is_digit>},
    {"isidentifier", isidentifier},
    {"islower", islower},
    {"isnumeric", all_characters<is_numeric>},
    {"isprintable", all_characters<is_printable, true>},
    {"isspace", all_characters<is_space>},
    {"istitle", istitle},
    {"isupper", isupper},
    {"join", join},
    {"ljust", ljust},
    {"lower", lower},
    {"lstrip", lstrip},
    {"maketrans", unavailable},
    {"partition", partition},
    {"removeprefix", removeprefix},
    {"removesuffix", removesuffix},
    {"replace", replace},
    {"rfind", rfind},
    {"rindex", rindex},
    {"rjust", rjust},
    {"rpartition", rpartition},
    {"rsplit", rsplit},
    {"rstrip", rstrip},
    {"split", split},
    {"splitlines", splitlines},
    {"startswith", startswith},
    {"strip", strip},
    {"swapcase", swapcase},
    {"title", title},
    {"translate", unavailable},
    {"upper", upper},
    {"zfill", zfill},
});

}  // namespace

Function find_text_method(std::string_view name) {
  const auto place = std::ranges::lower_bound(kMethods, name, {}, &NamedFunction::name);
  return place != kMethods.end() && place->name == name ? place->function : nullptr;
}

}  // namespace tessera::text::jinja
