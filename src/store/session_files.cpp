#include "store/session_files.h"

#include <unordered_map>

#include "base/error.h"
#include "store/json.h"
#include "store/text_check.h"

namespace tessera::store {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kFormat = "tessera-sessions";
constexpr std::int64_t kVersion = 1;
constexpr std::size_t kTitleCharacters = 60;

template <typename Value>
void put(ordered_json& object, const char* key, const std::optional<Value>& value) {
  if (value) object[key] = *value;
}

ordered_json as_json(const TreeMessage& message, std::size_t index) {
  ordered_json object;
  object["id"] = index + 1;
  object["parent"] = message.parent ? ordered_json(*message.parent + 1) : ordered_json();
  object["role"] = message.role;
  object["content"] = message.content;
  object["created_at"] = message.created_at;
  if (!message.model.empty()) object["model"] = message.model;
  if (!message.finish_reason.empty()) object["finish_reason"] = message.finish_reason;
  put(object, "prompt_tokens", message.prompt_tokens);
  put(object, "completion_tokens", message.completion_tokens);
  put(object, "prefill_seconds", message.prefill_seconds);
  put(object, "decode_seconds", message.decode_seconds);
  return object;
}

ordered_json as_json(const SessionTree& tree) {
  ordered_json object;
  object["title"] = tree.title;
  object["model"] = tree.model;
  object["parameters"] = parse_json(tree.parameters, "the session's parameters");
  object["created_at"] = tree.created_at;
  object["updated_at"] = tree.updated_at;
  object["archived"] = tree.archived;
  object["current"] = tree.leaf ? ordered_json(*tree.leaf + 1) : ordered_json();
  object["messages"] = ordered_json::array();
  for (std::size_t i = 0; i < tree.messages.size(); ++i) {
    object["messages"].push_back(as_json(tree.messages[i], i));
  }
  return object;
}

// One object of the file: its fields by name, with errors that say where they are.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) reject("expected an object");
  }
  const std::string& where() const { return where_; }

  std::string text(const char* key, std::optional<std::string> fallback = {}) const {
    const json* value = find(key);
    if (value == nullptr && fallback) return *fallback;
    if (value == nullptr || !value->is_string()) reject("expected a text", key);
    return value->get<std::string>();
  }
  std::optional<std::int64_t> integer(const char* key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    const bool fits = value->is_number_unsigned() && value->get<std::uint64_t>() <= INT64_MAX;
    if (!fits) reject("expected an integer from 0 to 2^63 - 1", key);
    return value->get<std::int64_t>();
  }
  std::optional<double> real(const char* key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number()) reject("expected a number", key);
    return value->get<double>();
  }
  bool boolean(const char* key) const {
    const json* value = find(key);
    if (value != nullptr && !value->is_boolean()) reject("expected true or false", key);
    return value != nullptr && value->get<bool>();
  }
  const json& list(const char* key) const {
    const json* value = find(key);
    if (value == nullptr || !value->is_array()) reject("expected a list", key);
    return *value;
  }
  // Absent and null are the same.
  const json* find(const char* key) const {
    const auto value = object_.find(key);
    return value == object_.end() || value->is_null() ? nullptr : &*value;
  }
  [[noreturn]] void reject(std::string_view problem, std::string_view key = {}) const {
    fail(ErrorKind::bad_input, "{}: {}{}", where_, problem, key.empty() ? "" : fmt::format(" '{}'", key));
  }

 private:
  const json& object_;
  std::string where_;
};

TreeMessage read_message(const Fields& fields, std::int64_t time) {
  TreeMessage message;
  message.role = fields.text("role");
  message.content = fields.text("content");
  message.model = fields.text("model", "");
  message.finish_reason = fields.text("finish_reason", "");
  message.prompt_tokens = fields.integer("prompt_tokens");
  message.completion_tokens = fields.integer("completion_tokens");
  message.prefill_seconds = fields.real("prefill_seconds");
  message.decode_seconds = fields.real("decode_seconds");
  message.created_at = fields.integer("created_at").value_or(time);
  return message;
}

// Without ids the messages follow each other, as in what '/save' writes.
void read_messages(const Fields& session, SessionTree& tree) {
  std::unordered_map<std::int64_t, std::size_t> index_of;
  const auto find = [&](const Fields& fields, const char* key) -> std::optional<std::size_t> {
    const std::optional<std::int64_t> id = fields.integer(key);
    if (!id) return std::nullopt;
    const auto found = index_of.find(*id);
    if (found == index_of.end()) fields.reject("expected the id of an earlier message", key);
    return found->second;
  };
  bool has_ids = false;
  for (const json& item : session.list("messages")) {
    const std::size_t index = tree.messages.size();
    const Fields fields(item, fmt::format("{}, message {}", session.where(), index + 1));
    TreeMessage message = read_message(fields, tree.created_at);
    const std::optional<std::int64_t> id = fields.integer("id");
    if (index == 0) has_ids = id.has_value();
    if (id.has_value() != has_ids) fields.reject("expected all messages to have an id, or none");
    if (id) {
      message.parent = find(fields, "parent");
      if (!index_of.emplace(*id, index).second) fields.reject("expected an id of its own", "id");
    } else if (index > 0) {
      message.parent = index - 1;
    }
    tree.messages.push_back(std::move(message));
  }
  if (has_ids) {
    tree.leaf = find(session, "current");
  } else if (!tree.messages.empty()) {
    tree.leaf = tree.messages.size() - 1;
  }
}

SessionTree read_session(const json& item, std::string where, std::int64_t now) {
  const Fields fields(item, std::move(where));
  SessionTree tree;
  tree.model = fields.text("model", "");
  if (const json* parameters = fields.find("parameters"); parameters != nullptr) {
    if (!parameters->is_object()) fields.reject("expected an object", "parameters");
    tree.parameters = parameters->dump();
  }
  tree.created_at = fields.integer("created_at").value_or(now);
  tree.updated_at = fields.integer("updated_at").value_or(now);
  tree.archived = fields.boolean("archived");
  read_messages(fields, tree);
  std::string fallback;
  for (const TreeMessage& message : tree.messages) {
    if (message.role == "user" && fallback.empty()) fallback = title_from(message.content);
  }
  tree.title = fields.text("title", fallback);
  return tree;
}

}  // namespace

std::string sessions_as_json(std::span<const SessionTree> trees) {
  ordered_json all;
  all["format"] = kFormat;
  all["version"] = kVersion;
  all["sessions"] = ordered_json::array();
  for (const SessionTree& tree : trees) all["sessions"].push_back(as_json(tree));
  return all.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::vector<SessionTree> sessions_from_json(std::string_view text, std::string_view file, std::int64_t now) {
  const json whole = parse_json(text, file);
  const Fields fields(whole, std::string(file));
  if (fields.find("format") == nullptr && fields.find("messages") != nullptr) {
    return {read_session(whole, std::string(file), now)};
  }
  if (fields.text("format", "") != kFormat) {
    fields.reject(
        fmt::format("expected \"format\": \"{}\", as 'tessera sessions export' writes it", kFormat));
  }
  if (const auto version = fields.integer("version"); version != kVersion) {
    fail(ErrorKind::unsupported, "{}: expected version {}, found {}; a newer Tessera may read it", file,
         kVersion, version ? std::to_string(*version) : "none");
  }
  std::vector<SessionTree> trees;
  for (const json& item : fields.list("sessions")) {
    trees.push_back(read_session(item, fmt::format("{}: session {}", file, trees.size() + 1), now));
  }
  return trees;
}

std::string title_from(std::string_view message) {
  std::string title;
  std::size_t characters = 0;
  for (std::size_t i = 0; i < message.size(); ++i) {
    const auto byte = static_cast<unsigned char>(message[i]);
    const bool blank = byte <= ' ' || byte == 0x7f;
    if (blank && (title.empty() || title.back() == ' ')) continue;
    if ((byte & 0xc0U) != 0x80 && ++characters > kTitleCharacters) {
      while (title.ends_with(' ')) title.pop_back();
      return title + "…";
    }
    title += blank ? ' ' : message[i];
  }
  while (title.ends_with(' ')) title.pop_back();
  return title;
}

}  // namespace tessera::store
