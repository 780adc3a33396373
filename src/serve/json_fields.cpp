#include "serve/json_fields.h"

#include <cmath>
#include <utility>
#include <vector>

#include "base/near_names.h"

namespace tessera::serve {
namespace {

constexpr std::size_t kDeepest = 64;
// Objects keep their order in a list, which is searched from the front.
constexpr std::size_t kMostMembers = 1024;

// Reads without building anything: knows where it is when the text breaks off, and how deep it is.
class Checker final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return value(); }
  bool boolean(bool /*value*/) override { return value(); }
  bool number_integer(number_integer_t /*value*/) override { return value(); }
  bool number_unsigned(number_unsigned_t /*value*/) override { return value(); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return value(); }
  bool string(string_t& /*value*/) override { return value(); }
  bool binary(binary_t& /*value*/) override { return value(); }
  bool start_object(std::size_t /*elements*/) override { return enter(false); }
  bool start_array(std::size_t /*elements*/) override { return enter(true); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool key(string_t& name) override {
    levels_.back().key = name;
    too_wide_ = levels_.back().index >= kMostMembers;
    return !too_wide_;
  }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    position_ = position;
    too_large_ = error.id == 406;
    return false;
  }

  [[noreturn]] void refuse() const {
    const std::string where = path();
    const std::string prefix = where.empty() ? "the body" : where;
    if (levels_.size() > kDeepest) {
      throw ApiError(400, fmt::format("{}: nested deeper than {} levels", prefix, kDeepest), where,
                     "invalid_json");
    }
    if (too_wide_) {
      throw ApiError(400, fmt::format("{}: an object of more than {} members", prefix, kMostMembers), where,
                     "invalid_json");
    }
    throw ApiError(400,
                   fmt::format("{}: expected {} at byte {}", prefix,
                               too_large_ ? "a number that a double can hold" : "JSON in UTF-8", position_),
                   where, "invalid_json");
  }

 private:
  struct Level {
    bool is_array = false;
    std::size_t index = 0;
    std::string key;
  };
  bool value() {
    if (!levels_.empty()) {
      ++levels_.back().index;
      levels_.back().key.clear();
    }
    return true;
  }
  bool enter(bool is_array) {
    levels_.push_back({is_array, 0, {}});
    return levels_.size() <= kDeepest;
  }
  bool leave() {
    levels_.pop_back();
    return value();
  }
  std::string path() const {
    std::string text;
    for (const Level& level : levels_) {
      if (level.is_array) {
        text += fmt::format("[{}]", level.index);
      } else if (!level.key.empty()) {
        text += (text.empty() ? "" : ".") + printable(level.key);
      }
      if (text.size() > 200) break;
    }
    return text;
  }

  std::vector<Level> levels_;
  std::size_t position_ = 0;
  bool too_large_ = false;
  bool too_wide_ = false;
};

}  // namespace

Json parse_body(const std::string& body) {
  Checker checker;
  if (!Json::sax_parse(body, &checker)) checker.refuse();
  Json value = Json::parse(body);
  if (!value.is_object()) {
    throw ApiError(400, "the body: expected a JSON object, found " + shown(value), "", "invalid_json");
  }
  return value;
}

std::string shown(const Json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return "'" + printable(text, 40) + "'";
  }
  if (value.is_object()) return "an object";
  if (value.is_array()) return fmt::format("an array of {}", value.size());
  return value.dump();
}

JsonFields::JsonFields(const Json& object, std::string path) : object_(&object), path_(std::move(path)) {
  if (!object.is_object()) refuse_field(path_, "expected an object, found {}", shown(object));
}

std::string JsonFields::path_of(const std::string& name) const {
  return path_.empty() ? name : path_ + "." + name;
}

const Json* JsonFields::find(const std::string& name) {
  asked_.insert(name);
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

const Json& JsonFields::require(const std::string& name) {
  if (const Json* value = find(name)) return *value;
  throw ApiError(400, path_of(name) + ": is required", path_of(name), "missing_field");
}

std::optional<double> JsonFields::number(const std::string& name, double least, double most,
                                         bool open_below) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  // Written so that NaN is outside.
  if (!(number >= least && number <= most) || (open_below && number == least)) {
    refuse_field(path_of(name), "expected a number in {}{}, {}], found {}", open_below ? '(' : '[', least,
                 most, shown(*value));
  }
  return number;
}

std::optional<std::int64_t> JsonFields::integer(const std::string& name, std::int64_t least,
                                                std::int64_t most) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const bool fits =
      value->is_number_integer() &&
      !(value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(most));
  if (!fits || value->get<std::int64_t>() < least || value->get<std::int64_t>() > most) {
    refuse_field(path_of(name), "expected an integer in [{}, {}], found {}", least, most, shown(*value));
  }
  return value->get<std::int64_t>();
}

std::optional<bool> JsonFields::boolean(const std::string& name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) refuse_field(path_of(name), "expected true or false, found {}", shown(*value));
  return value->get<bool>();
}

std::optional<std::string> JsonFields::string(const std::string& name, std::size_t most_bytes) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) refuse_field(path_of(name), "expected a string, found {}", shown(*value));
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() > most_bytes) {
    refuse_field(path_of(name), "expected at most {} bytes, found {}", most_bytes, text.size());
  }
  return text;
}

void JsonFields::ignore(const std::string& name) { asked_.insert(name); }

void JsonFields::only(const std::string& name, const Json& neutral) {
  const Json* value = find(name);
  if (value == nullptr || *value == neutral) return;
  throw ApiError(400,
                 fmt::format("{}: only {} is supported by this server, found {}", path_of(name),
                             neutral.is_null() ? "null" : neutral.dump(), shown(*value)),
                 path_of(name), "unsupported_value");
}

void JsonFields::finish() const {
  for (const auto& [name, value] : object_->items()) {
    if (asked_.contains(name)) continue;
    const std::vector<std::string> known(asked_.begin(), asked_.end());
    const auto near = near_names(name, known, 1);
    throw ApiError(400,
                   fmt::format("{}: unknown field{}", path_of(printable(name)),
                               near.empty() ? "" : "; did you mean '" + near.front() + "'?"),
                   path_of(printable(name)), "unknown_field");
  }
}

}  // namespace tessera::serve
