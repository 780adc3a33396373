#include "engine/json_schema.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/schema_keywords.h"
#include "engine/schema_merge.h"
#include "engine/schema_values.h"

namespace tessera::engine {
namespace {

using Json = SchemaJson;

constexpr int kMostLevels = 64;
constexpr std::size_t kMostBytes = std::size_t{1} << 20;

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

Json without(Json schema, const char* key) {
  schema.erase(key);
  return schema;
}

// Objects, arrays and alternatives, which hold other schemas.
class SchemaWriter {
 public:
  explicit SchemaWriter(const Json& schema) : document_(&schema) {}

  std::string write(std::string_view root) {
    std::string text = fmt::format("{} ::= {}\n", root, expression(*document_, "#", 0));
    for (const auto& [name, rule] : rules_) text += fmt::format("{} ::= {}\n", name, rule);
    return text + kCommonRules;
  }

 private:
  std::string expression(const Json& schema, const std::string& path, int level) {
    if (level > kMostLevels) fail(ErrorKind::limit, "JSON schema: more than {} levels", kMostLevels);
    if (++schemas_ > kMostSchemas)
      fail(ErrorKind::limit, "JSON schema: more than {} schemas in it", kMostSchemas);
    if (schema.is_boolean()) {
      if (!schema.get<bool>()) refuse_unsupported(path, "nothing is allowed here");
      return "value";
    }
    if (!schema.is_object()) refuse_schema(path, "a schema: an object or true");
    refuse_unknown_keywords(schema, path);
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
    if (schema.contains("const") || schema.contains("enum")) return enumerated_gbnf(schema, path);
    return of_type(schema, path, level);
  }

  Json merged(Json one, const Json& other, const std::string& path) const {
    return merged_schema(std::move(one), other, path,
                         [this](const Json& target, const std::string& place) -> const Json& {
                           return referenced(target, place);
                         });
  }

  std::string all_of(const Json& schema, const std::string& path, int level) {
    const Json& parts = schema["allOf"];
    if (!parts.is_array() || parts.empty()) refuse_schema(path + "/allOf", "a list of schemas");
    Json whole = without(schema, "allOf");
    for (const Json& part : parts) whole = merged(std::move(whole), part, path + "/allOf");
    return expression(whole, path, level + 1);
  }

  // `common`: what stands beside them and holds for each.
  std::string alternatives(const Json& schemas, const Json& common, const std::string& path, int level) {
    if (!schemas.is_array() || schemas.empty()) refuse_schema(path, "a list of schemas");
    const bool alone = !has_constraints_besides(common, "");
    std::string text;
    for (std::size_t i = 0; i < schemas.size(); ++i) {
      const std::string place = fmt::format("{}/{}", path, i);
      text += (i == 0 ? "(" : " | ") +
              expression(alone ? schemas[i] : merged(common, schemas[i], place), place, level + 1);
    }
    return text + ")";
  }

  const Json& referenced(const Json& target, const std::string& path) const {
    if (!target.is_string() || !target.get_ref<const std::string&>().starts_with('#'))
      refuse_schema(path, "a place in this document: '#/...'");
    const auto pointer = target.get<std::string>().substr(1);
    try {
      return document_->at(Json::json_pointer(pointer));
    } catch (const Json::exception&) {
      refuse_schema(path, "a place that is there, found '" + printable(pointer) + "'");
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
    if (!type.is_array() || type.empty())
      refuse_schema(path + "/type", "the name of a type or a list of them");
    std::string text;
    for (const Json& one : type) {
      if (!one.is_string()) refuse_schema(path + "/type", "names of types");
      text += (text.empty() ? "(" : " | ") + of_one_type(one.get<std::string>(), schema, path, level);
    }
    return text + ")";
  }

  std::string of_one_type(const std::string& type, const Json& schema, const std::string& path, int level) {
    if (type == "object") return object(schema, path, level);
    if (type == "array") return array(schema, path, level);
    if (type == "string") return string_gbnf(schema, path);
    if (type == "number" || type == "integer") return number_gbnf(type, schema, path);
    if (type == "boolean" || type == "null") return type;
    refuse_schema(path + "/type", "object, array, string, number, integer, boolean or null");
  }

  std::string array(const Json& schema, const std::string& path, int level) {
    const std::int64_t least = schema_count(schema, "minItems", path).value_or(0);
    const auto most = schema_count(schema, "maxItems", path);
    if (most && *most < least) refuse_schema(path, "a maxItems that is not below minItems");
    std::vector<std::string> first;
    if (schema.contains("prefixItems")) {
      const Json& items = schema["prefixItems"];
      if (!items.is_array()) refuse_schema(path + "/prefixItems", "a list of schemas");
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
    if (!properties.is_object()) refuse_schema(path + "/properties", "an object of schemas");
    std::vector<std::string> required;
    if (schema.contains("required")) {
      for (const Json& name : schema["required"]) {
        if (!name.is_string()) refuse_schema(path + "/required", "a list of names");
        required.push_back(name.get<std::string>());
      }
    }
    std::vector<std::pair<std::string, bool>> pairs;  // "key": value; required
    for (const auto& [key, value] : properties.items()) {
      const std::string text = expression(value, fmt::format("{}/properties/{}", path, key), level + 1);
      pairs.emplace_back(fmt::format(R"({} ws {})", gbnf_literal(Json(key).dump() + ":"), text),
                         std::ranges::find(required, key) != required.end());
    }
    for (const std::string& name : required) {
      if (!properties.contains(name))
        pairs.emplace_back(gbnf_literal(Json(name).dump() + ":") + " ws value", true);
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
