#include "serve/tool_call_parser.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace tessera::serve {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";
constexpr std::string_view kBlanks = " \t\r\n";

enum class Found { yes, no, unknown };  // unknown: more text must come first

// Reads the beginning of a call from the front of a text.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  Found literal(std::string_view wanted) {
    skip_blanks();
    const std::string_view there = text_.substr(at_, wanted.size());
    if (there == wanted) {
      at_ += wanted.size();
      return Found::yes;
    }
    return wanted.starts_with(there) ? Found::unknown : Found::no;
  }
  // A string with its quotes.
  Found string(std::string& value) {
    skip_blanks();
    if (at_ == text_.size()) return Found::unknown;
    if (text_[at_] != '"') return Found::no;
    for (std::size_t end = at_ + 1; end < text_.size(); ++end) {
      if (text_[end] == '\\') {
        ++end;
      } else if (text_[end] == '"') {
        const Json parsed = Json::parse(text_.substr(at_, end + 1 - at_), nullptr, false);
        at_ = end + 1;
        if (!parsed.is_string()) return Found::no;
        value = parsed.get<std::string>();
        return Found::yes;
      }
    }
    return Found::unknown;
  }
  void skip_blanks() { at_ = std::min(text_.find_first_not_of(kBlanks, at_), text_.size()); }
  std::size_t at() const { return at_; }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

// `{"name": "...", "arguments": ` up to the value, which is an object.
Found read_call_head(std::string_view text, std::string& name, std::size_t& length) {
  Cursor cursor(text);
  for (const std::string_view part : {"{", "\"name\"", ":"}) {
    if (const Found found = cursor.literal(part); found != Found::yes) return found;
  }
  if (const Found found = cursor.string(name); found != Found::yes) return found;
  if (const Found found = cursor.literal(","); found != Found::yes) return found;
  std::string key;
  if (const Found found = cursor.string(key); found != Found::yes) return found;
  if (key != "arguments" && key != "parameters") return Found::no;
  if (const Found found = cursor.literal(":"); found != Found::yes) return found;
  cursor.skip_blanks();
  length = cursor.at();
  if (length == text.size()) return Found::unknown;
  return text[length] == '{' ? Found::yes : Found::no;
}

// A call whose members came in another order, or whose arguments are a text.
std::optional<AnswerDelta> parse_call(std::string_view text, std::int64_t index) {
  const Json call = Json::parse(text, nullptr, false);
  if (!call.is_object() || !call.contains("name") || !call["name"].is_string()) return std::nullopt;
  const char* key = call.contains("arguments") ? "arguments" : "parameters";
  if (!call.contains(key)) return std::nullopt;
  const Json& arguments = call[key];
  const bool is_text = arguments.is_string();
  return AnswerDelta{.call = index,
                     .name = call["name"].get<std::string>(),
                     .arguments = is_text ? arguments.get<std::string>() : arguments.dump()};
}

// How much of the end of `text` may be the beginning of `tag`.
std::size_t possible_beginning(std::string_view text, std::string_view tag) {
  for (std::size_t length = std::min(text.size(), tag.size() - 1); length > 0; --length) {
    if (text.ends_with(tag.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

std::vector<AnswerDelta> ToolCallParser::push(std::string_view text) {
  buffer_ += text;
  std::vector<AnswerDelta> deltas;
  while (advance(deltas)) {
  }
  return deltas;
}

// True: the state has changed, and the buffer may hold more.
bool ToolCallParser::advance(std::vector<AnswerDelta>& deltas) {
  if (buffer_.empty()) return false;
  if (text_only_) {
    deltas.push_back({.content = std::exchange(held_blanks_, {}) + std::exchange(buffer_, {})});
    return false;
  }
  switch (state_) {
    case State::text:
      return read_text(deltas);
    case State::head:
      return read_head(deltas);
    case State::arguments:
      return read_arguments(deltas);
    case State::tail:
      return read_tail();
    case State::whole:
      return read_whole(deltas);
  }
  return false;
}

bool ToolCallParser::is_callable(const std::string& name) const {
  return names_.empty() || std::ranges::find(names_, name) != names_.end();
}

// Where an answer is either: what does not begin as a call has none.
bool ToolCallParser::begins_as_text() const {
  if (names_.empty() || calls_ > 0) return false;
  const std::string_view tag = syntax_ == ToolCallSyntax::hermes ? kOpen : "{";
  return !std::string_view(buffer_).starts_with(tag) && !tag.starts_with(buffer_);
}

bool ToolCallParser::read_text(std::vector<AnswerDelta>& deltas) {
  if (begins_as_text()) {
    text_only_ = true;
    return true;
  }
  if (syntax_ == ToolCallSyntax::llama3) {
    if (!std::exchange(begun_, true) && buffer_.front() == '{') {
      state_ = State::head;
      return true;
    }
    add_content(deltas, std::exchange(buffer_, {}));
    return false;
  }
  const std::size_t tag = buffer_.find(kOpen);
  if (tag == std::string::npos) {
    const std::size_t certain = buffer_.size() - possible_beginning(buffer_, kOpen);
    add_content(deltas, std::string_view(buffer_).substr(0, certain));
    buffer_.erase(0, certain);
    return false;
  }
  add_content(deltas, std::string_view(buffer_).substr(0, tag));
  held_blanks_.clear();
  buffer_.erase(0, tag + kOpen.size());
  state_ = State::head;
  return true;
}

// Blanks before a call are not part of the text.
void ToolCallParser::add_content(std::vector<AnswerDelta>& deltas, std::string_view text) {
  const std::size_t last = text.find_last_not_of(kBlanks);
  if (last == std::string_view::npos) {
    held_blanks_ += text;
    return;
  }
  deltas.push_back({.content = std::exchange(held_blanks_, std::string(text.substr(last + 1))) +
                               std::string(text.substr(0, last + 1))});
}

bool ToolCallParser::read_head(std::vector<AnswerDelta>& deltas) {
  std::string name;
  std::size_t length = 0;
  const Found found = read_call_head(buffer_, name, length);
  if (found == Found::unknown) return false;
  if (!names_.empty() && (found == Found::no || !is_callable(name))) {  // the other choice after all
    if (syntax_ == ToolCallSyntax::hermes) buffer_.insert(0, kOpen);
    text_only_ = true;
    return true;
  }
  if (found == Found::no) {
    state_ = State::whole;
    return true;
  }
  deltas.push_back({.call = calls_++, .name = std::move(name)});
  buffer_.erase(0, length);
  depth_ = 0;
  state_ = State::arguments;
  return true;
}

bool ToolCallParser::read_arguments(std::vector<AnswerDelta>& deltas) {
  std::size_t end = 0;
  bool complete = false;
  for (; end < buffer_.size() && !complete; ++end) {
    const char c = buffer_[end];
    if (in_string_) {
      in_string_ = escaped_ || c != '"';
      escaped_ = !escaped_ && c == '\\';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      complete = --depth_ == 0;
    }
  }
  deltas.push_back({.call = calls_ - 1, .arguments = buffer_.substr(0, end)});
  buffer_.erase(0, end);
  if (complete) state_ = State::tail;
  return complete;
}

bool ToolCallParser::read_tail() {
  if (syntax_ == ToolCallSyntax::llama3) {
    buffer_.clear();
    return false;
  }
  const std::size_t tag = buffer_.find(kClose);
  if (tag == std::string::npos) return false;
  buffer_.erase(0, tag + kClose.size());
  state_ = State::text;
  return true;
}

// Not in the usual order: understood when it is there as a whole.
bool ToolCallParser::read_whole(std::vector<AnswerDelta>& deltas) {
  if (syntax_ == ToolCallSyntax::llama3) return false;
  const std::size_t tag = buffer_.find(kClose);
  if (tag == std::string::npos) return false;
  const std::string text = buffer_.substr(0, tag);
  buffer_.erase(0, tag + kClose.size());
  if (auto call = parse_call(text, calls_)) {
    deltas.push_back(*std::move(call));
    ++calls_;
  } else {
    add_content(deltas, std::string(kOpen) + text + std::string(kClose));
  }
  state_ = State::text;
  return true;
}

std::vector<AnswerDelta> ToolCallParser::finish() {
  std::vector<AnswerDelta> deltas;
  std::string rest = std::exchange(buffer_, {});
  if (!text_only_ && (state_ == State::head || state_ == State::whole)) {
    auto call = parse_call(rest, calls_);
    if (call && is_callable(call->name)) {
      deltas.push_back(*std::move(call));
      ++calls_;
      return deltas;
    }
    if (syntax_ == ToolCallSyntax::hermes) rest.insert(0, kOpen);
  }
  if (state_ == State::tail) rest.clear();
  // Blanks at the end are part of a text, but not after calls.
  rest.insert(0, std::exchange(held_blanks_, {}));
  if (rest.find_first_not_of(kBlanks) == std::string::npos && calls_ > 0) rest.clear();
  if (!rest.empty()) deltas.push_back({.content = std::move(rest)});
  return deltas;
}

}  // namespace tessera::serve
