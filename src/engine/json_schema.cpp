#include "engine/json_schema.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "engine/schema_number.h"
#include "engine/schema_pattern.h"

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

// Schemas may stand for each other many times over; this many are read.
constexpr int kMostSchemas = 20'000;

constexpr std::array<std::string_view, 23> kKnown{"type",
                                                  "properties",
                                                  "required",
                                                  "additionalProperties",
                                                  "items",
                                                  "prefixItems",
                                                  "minItems",
                                                  "maxItems",
                                                  "enum",
                                                  "minLength",
                                                  "maxLength",
                                                  "const",
                                                  "anyOf",
                                                  "oneOf",
                                                  "allOf",
                                                  "$ref",
                                                  "$defs",
                                                  "definitions",
                                                  "pattern",
                                                  "minimum",
                                                  "maximum",
                                                  "exclusiveMinimum",
                                                  "exclusiveMaximum"};
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

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// Keywords that say something about the text, but for `except`.
bool has_constraints_besides(const Json& schema, std::string_view except) {
  return std::ranges::any_of(schema.items(), [&](const auto& member) {
    const std::string& key = member.key();
    return key != except && key != "$defs" && key != "definitions" && !is_one_of(kAnnotations, key);
  });
}

Json without(Json schema, const char* key) {
  schema.erase(key);
  return schema;
}

bool has_type(const Json& value, const Json& type) {
  if (type.is_array()) {
    return std::ranges::any_of(type, [&](const Json& one) { return has_type(value, one); });
  }
  if (type == "integer") return value.is_number_integer();
  return type == value.type_name();
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

  [[noreturn]] static void unsupported(const std::string& path, const std::string& what) {
    fail(ErrorKind::unsupported, "JSON schema: {}: {}", printable(path, 200), what);
  }

  static void refuse_unknown(const Json& schema, const std::string& path) {
    for (const auto& [key, value] : schema.items()) {
      if (is_one_of(kKnown, key) || is_one_of(kAnnotations, key)) continue;
      unsupported(path, fmt::format("keyword '{}' is not supported", printable(key)));
    }
  }

  std::string expression(const Json& schema, const std::string& path, int level) {
    if (level > kMostLevels) fail(ErrorKind::limit, "JSON schema: more than {} levels", kMostLevels);
    if (++schemas_ > kMostSchemas)
      fail(ErrorKind::limit, "JSON schema: more than {} schemas in it", kMostSchemas);
    if (schema.is_boolean()) {
      if (!schema.get<bool>()) unsupported(path, "nothing is allowed here");
      return "value";
    }
    if (!schema.is_object()) wrong(path, "a schema: an object or true");
    refuse_unknown(schema, path);
    if (schema.contains("allOf")) return all_of(schema, path, level);
    if (schema.contains("$ref")) {
      if (!has_constraints_besides(schema, "$ref")) return reference(schema["$ref"], path + "/$ref", level);
      const Json& target = referenced(schema["$ref"], path + "/$ref");
      return expression(merged(without(schema, "$ref"), target, path), path, level + 1);
    }
    for (const char* key : {"anyOf", "oneOf"}) {
      if (schema.contains(key))
        return alternatives(schema[key], without(schema, key), path + "/" + key, level);
    }
    if (schema.contains("const") || schema.contains("enum")) return values(schema, path);
    return of_type(schema, path, level);
  }

  std::string all_of(const Json& schema, const std::string& path, int level) {
    const Json& parts = schema["allOf"];
    if (!parts.is_array() || parts.empty()) wrong(path + "/allOf", "a list of schemas");
    Json whole = without(schema, "allOf");
    for (const Json& part : parts) whole = merged(std::move(whole), part, path + "/allOf");
    return expression(whole, path, level + 1);
  }

  // A schema of what both allow.
  Json merged(Json one, const Json& other, const std::string& path) {
    if (other.is_boolean() && other.get<bool>()) return one;
    if (!other.is_object()) wrong(path, "schemas: objects or true");
    check_other_properties(one, other, path);
    check_other_properties(other, one, path);
    for (const auto& [key, value] : other.items()) {
      if (key == "$defs" || key == "definitions") continue;
      if (key == "$ref" && one.contains(key)) {
        one = merged(std::move(one), referenced(value, path), path);
      } else if (!one.contains(key) || is_one_of(kAnnotations, key)) {
        one[key] = value;
      } else if (one[key] != value) {
        one[key] = both(key, one[key], value, path);
      }
    }
    return one;
  }

  // additionalProperties speaks of the names that its own schema does not mention.
  static void check_other_properties(const Json& one, const Json& other, const std::string& path) {
    if (!one.contains("additionalProperties") || !other.contains("properties")) return;
    for (const auto& [name, value] : other["properties"].items()) {
      if (one.contains("properties") && one["properties"].contains(name)) continue;
      unsupported(path, "additionalProperties beside a schema with other properties is not supported");
    }
  }

  static Json both(const std::string& key, const Json& one, const Json& other, const std::string& path) {
    Json result;
    if (key == "properties" && one.is_object() && other.is_object()) {
      result = one;
      for (const auto& [name, value] : other.items()) {
        if (result.contains(name)) {
          result[name] = Json{{"allOf", Json::array({result[name], value})}};
        } else {
          result[name] = value;
        }
      }
    } else if (key == "required" && one.is_array() && other.is_array()) {
      result = one;
      for (const Json& name : other) {
        if (std::ranges::find(one, name) == one.end()) result.push_back(name);
      }
    } else if (key == "enum" && one.is_array() && other.is_array()) {
      result = Json::array();
      std::ranges::copy_if(one, std::back_inserter(result),
                           [&](const Json& value) { return std::ranges::find(other, value) != other.end(); });
      if (result.empty()) unsupported(path, "no value is in both enums");
    } else if (key == "type" && (one == "number" || other == "number") &&
               (one == "integer" || other == "integer")) {
      result = "integer";
    } else if (one.is_number() && other.is_number() && key.starts_with("min")) {
      result = std::max(one, other);
    } else if (one.is_number() && other.is_number() && key.starts_with("max")) {
      result = std::min(one, other);
    } else {
      unsupported(path, fmt::format("two different '{}' for one value are not supported", printable(key)));
    }
    return result;
  }

  // `common`: what stands beside them and holds for each.
  std::string alternatives(const Json& schemas, const Json& common, const std::string& path, int level) {
    if (!schemas.is_array() || schemas.empty()) wrong(path, "a list of schemas");
    const bool alone = !has_constraints_besides(common, "");
    std::string text;
    for (std::size_t i = 0; i < schemas.size(); ++i) {
      const std::string place = fmt::format("{}/{}", path, i);
      text += (i == 0 ? "(" : " | ") +
              expression(alone ? schemas[i] : merged(common, schemas[i], place), place, level + 1);
    }
    return text + ")";
  }

  static std::string values(const Json& schema, const std::string& path) {
    for (const auto& [key, value] : schema.items()) {
      if (key == "enum" || key == "const" || key == "type" || key == "$defs" || key == "definitions" ||
          is_one_of(kAnnotations, key))
        continue;
      unsupported(path, fmt::format("'{}' beside enum or const is not supported", printable(key)));
    }
    const Json list = schema.contains("const") ? Json::array({schema["const"]}) : schema["enum"];
    if (!list.is_array() || list.empty()) wrong(path + "/enum", "a list of values");
    std::string text;
    for (const Json& value : list) {
      const bool in_enum =
          !schema.contains("enum") || std::ranges::find(schema["enum"], value) != schema["enum"].end();
      if (!in_enum || (schema.contains("type") && !has_type(value, schema["type"]))) continue;
      text += (text.empty() ? "(" : " | ") + json_text(value);
    }
    if (text.empty()) unsupported(path, "no value is of the type");
    return text + ")";
  }

  const Json& referenced(const Json& target, const std::string& path) const {
    if (!target.is_string() || !target.get_ref<const std::string&>().starts_with('#'))
      wrong(path, "a place in this document: '#/...'");
    const auto pointer = target.get<std::string>().substr(1);
    try {
      return document_->at(Json::json_pointer(pointer));
    } catch (const Json::exception&) {
      wrong(path, "a place that is there, found '" + printable(pointer) + "'");
    }
  }

  // A rule of its own for each target, so that schemas may contain themselves.
  std::string reference(const Json& target, const std::string& path, int level) {
    const Json& schema = referenced(target, path);
    const auto pointer = target.get<std::string>().substr(1);
    const auto [found, is_new] = references_.try_emplace(pointer, fmt::format("ref-{}", references_.size()));
    const std::string name = found->second;
    if (!is_new) return name;
    std::string rule = expression(schema, "#" + pointer, level + 1);
    rules_.emplace_back(name, std::move(rule));
    return name;
  }

  std::string of_type(const Json& schema, const std::string& path, int level) {
    if (!schema.contains("type")) {
      const std::string type = implied_type(schema);
      return type.empty() ? "value" : of_one_type(type, schema, path, level);
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

  // Keywords without a type would bind values of theirs only; here they choose it.
  static std::string implied_type(const Json& schema) {
    constexpr std::pair<std::string_view, std::string_view> kImplied[] = {
        {"properties", "object"},       {"additionalProperties", "object"},
        {"required", "object"},         {"items", "array"},
        {"prefixItems", "array"},       {"minItems", "array"},
        {"maxItems", "array"},          {"minLength", "string"},
        {"maxLength", "string"},        {"pattern", "string"},
        {"minimum", "number"},          {"maximum", "number"},
        {"exclusiveMinimum", "number"}, {"exclusiveMaximum", "number"}};
    for (const auto& [key, type] : kImplied) {
      if (schema.contains(key)) return std::string(type);
    }
    return {};
  }

  std::string of_one_type(const std::string& type, const Json& schema, const std::string& path, int level) {
    if (type == "object") return object(schema, path, level);
    if (type == "array") return array(schema, path, level);
    if (type == "string") return string(schema, path);
    if (type == "number" || type == "integer") return number(type, schema, path);
    if (type == "boolean" || type == "null") return type;
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

  static std::string number(const std::string& type, const Json& schema, const std::string& path) {
    NumberBounds bounds;
    const bool whole = type == "integer";
    const auto tighten = [&](const char* key, bool upper, bool excluded) {
      if (!schema.contains(key)) return;
      const auto value = bound(schema[key], whole, upper, path + "/" + key);
      auto& known = upper ? bounds.most : bounds.least;
      bool& open = upper ? bounds.below_most : bounds.above_least;
      const bool tighter = !known || (upper ? value.first < *known : value.first > *known);
      if (tighter) {
        known = value.first;
        open = excluded && value.second;
      } else if (value.first == *known) {
        open = open || (excluded && value.second);
      }
    };
    tighten("minimum", false, false);
    tighten("exclusiveMinimum", false, true);
    tighten("maximum", true, false);
    tighten("exclusiveMaximum", true, true);
    if (!bounds.least && !bounds.most) return type;
    const std::string text = whole ? bounded_integer_gbnf(bounds) : bounded_number_gbnf(bounds);
    if (text.empty()) wrong(path, "bounds that some number lies between");
    return text;
  }

  // The bound as an integer, and whether it is one exactly: 2.5 from below is 3 for integers.
  static std::pair<std::int64_t, bool> bound(const Json& value, bool whole, bool upper,
                                             const std::string& path) {
    constexpr double kMost = 1e15;
    if (!value.is_number()) wrong(path, "a number");
    const double exact = value.get<double>();
    if (!(exact >= -kMost && exact <= kMost)) unsupported(path, "bounds beyond 10^15 are not supported");
    const double rounded = upper ? std::floor(exact) : std::ceil(exact);
    if (rounded != exact && !whole)
      unsupported(path, "bounds of numbers other than integers are not supported");
    return {static_cast<std::int64_t>(rounded), rounded == exact};
  }

  static std::string string(const Json& schema, const std::string& path) {
    if (schema.contains("pattern")) return pattern(schema, path);
    const auto least = count(schema, "minLength", path);
    const auto most = count(schema, "maxLength", path);
    if (!least && !most) return "string";
    if (most && *most < least.value_or(0)) wrong(path, "a maxLength that is not below minLength");
    const std::string end = most ? std::to_string(*most) : "";
    return fmt::format(R"("\"" char{{{},{}}} "\"")", least.value_or(0), end);
  }

  static std::string pattern(const Json& schema, const std::string& path) {
    if (schema.contains("minLength") || schema.contains("maxLength")) {
      unsupported(path, "pattern beside minLength or maxLength is not supported");
    }
    if (!schema["pattern"].is_string()) wrong(path + "/pattern", "a regular expression");
    try {
      return R"("\"" )" + pattern_to_gbnf(schema["pattern"].get<std::string>()) + R"( "\"")";
    } catch (const Error& error) {
      fail(error.kind(), "JSON schema: {}/{}", printable(path, 200), error.what());
    }
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
  int schemas_ = 0;
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
