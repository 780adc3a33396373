#include "engine/json_schema.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/error.h"

namespace tessera::engine {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMostLevels = 64;
constexpr std::size_t kMostBytes = std::size_t{1} << 20;
constexpr std::int64_t kMostCount = 10'000;

// Numbers are bounded, or a model might write digits for ever. \u escapes leave out the surrogates.
constexpr const char* kCommonRules = R"(
ws ::= | " " | "\n" [ \t]{0,20}
hex ::= [0-9a-fA-F]
char ::= [^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" ([0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2}))
string ::= "\"" char* "\""
digits ::= "0" | [1-9] [0-9]{0,15}
integer ::= "-"? digits
number ::= "-"? digits ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?
boolean ::= "true" | "false"
null ::= "null"
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? ws "}"
array ::= "[" ws (value ("," ws value)*)? ws "]"
value ::= object | array | string | number | boolean | null
)";

constexpr std::array<std::string_view, 18> kKnown{"type",  "properties",  "required", "additionalProperties",
                                                  "items", "prefixItems", "minItems", "maxItems",
                                                  "enum",  "minLength",   "const",    "maxLength",
                                                  "anyOf", "oneOf",       "allOf",    "$ref",
                                                  "$defs", "definitions"};
constexpr std::array<std::string_view, 14> kAnnotations{
    "title",    "description", "default",  "examples",  "format",  "$schema", "$id",
    "$comment", "deprecated",  "readOnly", "writeOnly", "$anchor", "strict",  "name"};

// Text as a literal of GBNF.
std::string literal(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      result += fmt::format("\\x{:02X}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string json_text(const Json& value) {
  return literal(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

class SchemaWriter {
 public:
  explicit SchemaWriter(const Json& schema) : document_(&schema) {}

  std::string write(std::string_view root) {
    std::string text = fmt::format("{} ::= {}\n", root, expression(*document_, "#", 0));
    for (const auto& [name, rule] : rules_) text += fmt::format("{} ::= {}\n", name, rule);
    return text + kCommonRules;
  }

 private:
  [[noreturn]] static void wrong(const std::string& path, const std::string& expected) {
    fail(ErrorKind::bad_input, "JSON schema: {}: expected {}", printable(path, 200), expected);
  }

  static void refuse_unknown(const Json& schema, const std::string& path) {
    for (const auto& [key, value] : schema.items()) {
      const auto is_key = [&](std::string_view known) { return key == known; };
      if (std::ranges::any_of(kKnown, is_key) || std::ranges::any_of(kAnnotations, is_key)) continue;
      fail(ErrorKind::unsupported, "JSON schema: {}: keyword '{}' is not supported", printable(path, 200),
           printable(key));
    }
  }

  std::string expression(const Json& schema, const std::string& path, int level) {
    if (level > kMostLevels) fail(ErrorKind::limit, "JSON schema: more than {} levels", kMostLevels);
    if (schema.is_boolean()) {
      if (!schema.get<bool>())
        fail(ErrorKind::unsupported, "JSON schema: {}: nothing is allowed here", printable(path, 200));
      return "value";
    }
    if (!schema.is_object()) wrong(path, "a schema: an object or true");
    refuse_unknown(schema, path);
    if (schema.contains("$ref")) return reference(schema["$ref"], path + "/$ref", level);
    if (schema.contains("const")) return json_text(schema["const"]);
    if (schema.contains("enum")) return enumeration(schema["enum"], path + "/enum");
    for (const char* key : {"anyOf", "oneOf", "allOf"}) {
      if (!schema.contains(key)) continue;
      const std::string place = path + "/" + key;
      const bool is_all = std::string_view(key) == "allOf";
      if (!schema[key].is_array() || schema[key].empty()) wrong(place, "a list of schemas");
      if (is_all && schema[key].size() > 1) {
        fail(ErrorKind::unsupported, "JSON schema: {}: allOf of more than one schema is not supported",
             printable(place, 200));
      }
      return alternatives(schema[key], place, level);
    }
    return of_type(schema, path, level);
  }

  std::string alternatives(const Json& schemas, const std::string& path, int level) {
    std::string text;
    for (std::size_t i = 0; i < schemas.size(); ++i) {
      text += (i == 0 ? "(" : " | ") + expression(schemas[i], fmt::format("{}/{}", path, i), level + 1);
    }
    return text + ")";
  }

  static std::string enumeration(const Json& values, const std::string& path) {
    if (!values.is_array() || values.empty()) wrong(path, "a list of values");
    std::string text;
    for (const Json& value : values) text += (text.empty() ? "(" : " | ") + json_text(value);
    return text + ")";
  }

  // A rule of its own for each target, so that schemas may contain themselves.
  std::string reference(const Json& target, const std::string& path, int level) {
    if (!target.is_string() || !target.get<std::string>().starts_with('#'))
      wrong(path, "a place in this document: '#/...'");
    const auto pointer = target.get<std::string>().substr(1);
    const auto [found, is_new] = references_.try_emplace(pointer, fmt::format("ref-{}", references_.size()));
    const std::string name = found->second;
    if (!is_new) return name;
    const Json* schema = nullptr;
    try {
      schema = &document_->at(Json::json_pointer(pointer));
    } catch (const Json::exception&) {
      wrong(path, "a place that is there, found '" + printable(pointer) + "'");
    }
    std::string rule = expression(*schema, "#" + pointer, level + 1);
    rules_.emplace_back(name, std::move(rule));
    return name;
  }

  std::string of_type(const Json& schema, const std::string& path, int level) {
    if (!schema.contains("type")) {
      if (schema.contains("properties") || schema.contains("additionalProperties"))
        return object(schema, path, level);
      if (schema.contains("items") || schema.contains("prefixItems")) return array(schema, path, level);
      return "value";
    }
    const Json& type = schema["type"];
    if (type.is_string()) return of_one_type(type.get<std::string>(), schema, path, level);
    if (!type.is_array() || type.empty()) wrong(path + "/type", "the name of a type or a list of them");
    std::string text;
    for (const Json& one : type) {
      if (!one.is_string()) wrong(path + "/type", "names of types");
      text += (text.empty() ? "(" : " | ") + of_one_type(one.get<std::string>(), schema, path, level);
    }
    return text + ")";
  }

  std::string of_one_type(const std::string& type, const Json& schema, const std::string& path, int level) {
    if (type == "object") return object(schema, path, level);
    if (type == "array") return array(schema, path, level);
    if (type == "string") return string(schema, path);
    if (type == "number" || type == "integer" || type == "boolean" || type == "null") return type;
    wrong(path + "/type", "object, array, string, number, integer, boolean or null");
  }

  static std::optional<std::int64_t> count(const Json& schema, const char* key, const std::string& path) {
    if (!schema.contains(key)) return std::nullopt;
    const Json& value = schema[key];
    if (!value.is_number_integer() || value < 0 || value > kMostCount) {
      wrong(path + "/" + key, fmt::format("0 to {}", kMostCount));
    }
    return value.get<std::int64_t>();
  }

  static std::string string(const Json& schema, const std::string& path) {
    const auto least = count(schema, "minLength", path);
    const auto most = count(schema, "maxLength", path);
    if (!least && !most) return "string";
    if (most && *most < least.value_or(0)) wrong(path, "a maxLength that is not below minLength");
    const std::string end = most ? std::to_string(*most) : "";
    return fmt::format(R"("\"" char{{{},{}}} "\"")", least.value_or(0), end);
  }

  std::string array(const Json& schema, const std::string& path, int level) {
    const std::int64_t least = count(schema, "minItems", path).value_or(0);
    const auto most = count(schema, "maxItems", path);
    if (most && *most < least) wrong(path, "a maxItems that is not below minItems");
    std::vector<std::string> first;
    if (schema.contains("prefixItems")) {
      const Json& items = schema["prefixItems"];
      if (!items.is_array()) wrong(path + "/prefixItems", "a list of schemas");
      for (std::size_t i = 0; i < items.size(); ++i) {
        first.push_back(expression(items[i], fmt::format("{}/prefixItems/{}", path, i), level + 1));
      }
      if (least != std::int64_t(first.size()) || most != least) {
        fail(ErrorKind::unsupported,
             "JSON schema: {}: prefixItems need minItems and maxItems of their number", printable(path, 200));
      }
      std::string text = R"("[" ws)";
      for (std::size_t i = 0; i < first.size(); ++i) text += (i > 0 ? R"( "," ws )" : " ") + first[i];
      return text + R"( ws "]")";
    }
    const std::string item =
        schema.contains("items") ? expression(schema["items"], path + "/items", level + 1) : "value";
    if (most == 0) return R"("[" ws "]")";
    const std::string more =
        fmt::format(R"(("," ws {}){{{},{}}})", item, std::max<std::int64_t>(least - 1, 0),
                    most ? std::to_string(*most - 1) : "");
    return fmt::format(R"(("[" ws ({} {}){} ws "]"))", item, more, least == 0 ? "?" : "");
  }

  // first-i: properties from i on, nothing written yet; rest-i: after others, so each brings its comma.
  std::string object(const Json& schema, const std::string& path, int level) {
    const Json none = Json::object();
    const Json& properties = schema.contains("properties") ? schema["properties"] : none;
    if (!properties.is_object()) wrong(path + "/properties", "an object of schemas");
    std::vector<std::string> required;
    if (schema.contains("required")) {
      for (const Json& name : schema["required"]) {
        if (!name.is_string()) wrong(path + "/required", "a list of names");
        required.push_back(name.get<std::string>());
      }
    }
    std::vector<std::pair<std::string, bool>> pairs;  // "key": value; required
    for (const auto& [key, value] : properties.items()) {
      const std::string text = expression(value, fmt::format("{}/properties/{}", path, key), level + 1);
      pairs.emplace_back(fmt::format(R"({} ws {})", literal(Json(key).dump() + ":"), text),
                         std::ranges::find(required, key) != required.end());
    }
    for (const std::string& name : required) {
      if (!properties.contains(name))
        pairs.emplace_back(literal(Json(name).dump() + ":") + " ws value", true);
    }
    const std::string other = other_pairs(schema, path, level, pairs.empty());
    return fmt::format(R"("{{" ws {} ws "}}")", object_rules(pairs, other));
  }

  // A pair of a name that the schema does not mention; empty: there may be none.
  std::string other_pairs(const Json& schema, const std::string& path, int level, bool by_default) {
    if (!schema.contains("additionalProperties")) return by_default ? R"(string ":" ws value)" : "";
    const Json& additional = schema["additionalProperties"];
    if (additional.is_boolean() && !additional.get<bool>()) return "";
    return R"(string ":" ws )" + expression(additional, path + "/additionalProperties", level + 1);
  }

  std::string object_rules(const std::vector<std::pair<std::string, bool>>& pairs, const std::string& other) {
    const std::size_t number = objects_++;
    const auto name = [&](const char* kind, std::size_t i) {
      return fmt::format("{}-{}-{}", kind, number, i);
    };
    const std::size_t end = pairs.size();
    rules_.emplace_back(name("rest", end), other.empty() ? "" : fmt::format(R"(("," ws {})*)", other));
    rules_.emplace_back(name("first", end),
                        other.empty() ? "" : fmt::format(R"(({} ("," ws {})*)?)", other, other));
    for (std::size_t i = 0; i < end; ++i) {
      const auto& [text, is_required] = pairs[i];
      const std::string next = name("rest", i + 1);
      rules_.emplace_back(name("rest", i),
                          fmt::format(R"(("," ws {}){} {})", text, is_required ? "" : "?", next));
      rules_.emplace_back(name("first", i), fmt::format("{} {}{}", text, next,
                                                        is_required ? "" : " | " + name("first", i + 1)));
    }
    return name("first", 0);
  }

  const Json* document_;
  std::map<std::string, std::string> references_;
  std::vector<std::pair<std::string, std::string>> rules_;
  std::size_t objects_ = 0;
};

}  // namespace

std::string json_schema_to_gbnf(std::string_view schema, std::string_view root) {
  if (schema.size() > kMostBytes)
    fail(ErrorKind::limit, "JSON schema: {} bytes, at most {}", schema.size(), kMostBytes);
  const Json document = Json::parse(schema, nullptr, false);
  if (document.is_discarded()) fail(ErrorKind::bad_input, "JSON schema: expected JSON");
  return SchemaWriter(document).write(root);
}

}  // namespace tessera::engine
