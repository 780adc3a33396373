#include "text/json_node.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"

namespace tessera::text {
namespace {

// Where a JSON text breaks off; simdjson does not tell.
class SyntaxErrorFinder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::size_t position = 0;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t where, const std::string&, const nlohmann::detail::exception&) override {
    position = where;
    return false;
  }
};

// Steps over JSON that is known to be well-formed, to find where a value stands.
class Locator {
 public:
  explicit Locator(std::string_view text) : text_(text) {}

  std::size_t position() const { return position_; }

  void skip_blanks() {
    while (position_ < text_.size() &&
           std::string_view(" \t\r\n,:").find(text_[position_]) != std::string_view::npos) {
      ++position_;
    }
  }

  std::string_view skip_string() {
    const std::size_t begin = ++position_;
    while (position_ < text_.size() && text_[position_] != '"') position_ += text_[position_] == '\\' ? 2 : 1;
    const std::size_t end = std::min(position_, text_.size());
    ++position_;
    return text_.substr(begin, end - begin);
  }

  void skip_value() {
    int depth = 0;
    do {
      skip_blanks();
      if (position_ >= text_.size()) return;
      const char c = text_[position_];
      if (c == '"') {
        skip_string();
      } else if (c == '{' || c == '[') {
        ++depth;
        ++position_;
      } else if (c == '}' || c == ']') {
        --depth;
        ++position_;
      } else {
        position_ = std::min(text_.find_first_of(",]} \t\r\n", position_), text_.size());
      }
    } while (depth > 0);
  }

  // From the start of an object or array to its member; stays at the start when there is none.
  void enter(std::string_view key, std::optional<std::size_t> index) {
    skip_blanks();
    const std::size_t start = position_++;
    for (std::size_t i = 0; position_ < text_.size(); ++i) {
      skip_blanks();
      if (position_ >= text_.size() || text_[position_] == '}' || text_[position_] == ']') break;
      const bool found = index ? i == *index : skip_string() == key;
      skip_blanks();
      if (found) return;
      skip_value();
    }
    position_ = start;
  }

 private:
  std::string_view text_;
  std::size_t position_ = 0;
};

// The same JSON with integers beyond 64 bits as floats: simdjson refuses those, and transformers writes its
// "no limit" as 1000000000000000019884624838656.
std::string with_wide_integers_as_floats(std::string_view text) {
  constexpr std::size_t kSafeDigits = 18;
  std::string result;
  bool in_string = false;
  for (std::size_t position = 0; position < text.size();) {
    const char c = text[position];
    if (in_string && c == '\\' && position + 1 < text.size()) result += text[position++];
    if (c == '"') in_string = !in_string;
    if (in_string || c < '0' || c > '9') {
      result += text[position++];
      continue;
    }
    const std::size_t end = std::min(text.find_first_not_of("0123456789.eE+-", position), text.size());
    const std::string_view number = text.substr(position, end - position);
    result += number;
    if (number.size() > kSafeDigits && number.find_first_of(".eE") == std::string_view::npos) result += ".0";
    position = end;
  }
  return result;
}

}  // namespace

JsonFile::JsonFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  const std::string_view content = file_->text();
  auto error = parser_.parse(content.data(), content.size(), true).get(root_);
  if (error == simdjson::NUMBER_ERROR)
    error = parser_.parse(with_wide_integers_as_floats(content)).get(root_);
  if (error == simdjson::CAPACITY || error == simdjson::MEMALLOC || error == simdjson::DEPTH_ERROR) {
    fail(ErrorKind::bad_input, "{}: expected JSON of reasonable size and depth, found {} bytes: {}", path(),
         content.size(), simdjson::error_message(error));
  }
  if (error != simdjson::SUCCESS) {
    SyntaxErrorFinder finder;
    nlohmann::json::sax_parse(content.begin(), content.end(), &finder);
    fail(ErrorKind::bad_input, "{}: expected JSON, found something else at byte {}: {}", path(),
         finder.position, simdjson::error_message(error));
  }
}

std::optional<JsonNode> JsonNode::find(std::string_view key) const {
  simdjson::dom::element value;
  if (object().at_key(key).get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
  return JsonNode(*this, key, value);
}

JsonNode JsonNode::require(std::string_view key) const {
  if (auto node = find(key)) return *node;
  fail(ErrorKind::bad_input, "{}: expected a member '{}', found none", where(), printable(key));
}

simdjson::dom::object JsonNode::object() const {
  simdjson::dom::object value;
  if (element_.get(value) != simdjson::SUCCESS) fail_expected("an object");
  return value;
}

simdjson::dom::array JsonNode::array() const {
  simdjson::dom::array value;
  if (element_.get(value) != simdjson::SUCCESS) fail_expected("an array");
  return value;
}

std::string_view JsonNode::string() const {
  std::string_view value;
  if (element_.get(value) != simdjson::SUCCESS) fail_expected("a string");
  return value;
}

bool JsonNode::boolean() const {
  bool value = false;
  if (element_.get(value) != simdjson::SUCCESS) fail_expected("true or false");
  return value;
}

std::int64_t JsonNode::integer() const {
  std::int64_t value = 0;
  if (element_.get(value) != simdjson::SUCCESS) fail_expected("an integer");
  return value;
}

double JsonNode::number() const {
  double value = 0;
  if (element_.get(value) != simdjson::SUCCESS) fail_expected("a number");
  return value;
}

bool JsonNode::boolean_or(std::string_view key, bool fallback) const {
  const auto node = find(key);
  return node ? node->boolean() : fallback;
}

std::string_view JsonNode::string_or(std::string_view key, std::string_view fallback) const {
  const auto node = find(key);
  return node ? node->string() : fallback;
}

std::size_t JsonNode::offset() const {
  std::vector<const JsonNode*> way;
  for (const JsonNode* node = this; node->parent_ != nullptr; node = node->parent_) way.push_back(node);
  Locator locator(file_->text());
  for (auto node = way.rbegin(); node != way.rend(); ++node) locator.enter((*node)->key_, (*node)->index_);
  locator.skip_blanks();
  return locator.position();
}

std::string JsonNode::where() const {
  std::string path;
  for (const JsonNode* node = this; node->parent_ != nullptr; node = node->parent_) {
    const std::string part = node->index_ ? fmt::format("[{}]", *node->index_) : printable(node->key_);
    const bool dot = !path.empty() && path[0] != '[';
    path = part + (dot ? "." : "") + path;
  }
  if (path.empty()) return file_->path();
  return fmt::format("{}: key '{}' at byte {}", file_->path(), path, offset());
}

void JsonNode::fail_expected(std::string_view expected) const {
  std::string found = simdjson::minify(element_);
  fail(ErrorKind::bad_input, "{}: expected {}, found {}", where(), expected, printable(found));
}

void JsonNode::fail_unsupported(std::string_view what, std::string_view name) const {
  fail(ErrorKind::unsupported, "{}: {} '{}' is not supported by this build", where(), what, printable(name));
}

}  // namespace tessera::text
