#include "engine/schema_merge.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"

namespace tessera::engine {
namespace {

using Json = SchemaJson;

// additionalProperties speaks of the names that its own schema does not mention.
void check_other_properties(const Json& one, const Json& other, const std::string& path) {
  if (!one.contains("additionalProperties") || !other.contains("properties")) return;
  for (const auto& [name, value] : other["properties"].items()) {
    if (one.contains("properties") && one["properties"].contains(name)) continue;
    refuse_unsupported(path, "additionalProperties beside a schema with other properties is not supported");
  }
}

Json both(const std::string& key, const Json& one, const Json& other, const std::string& path) {
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
    if (result.empty()) refuse_unsupported(path, "no value is in both enums");
  } else if (key == "type" && (one == "number" || other == "number") &&
             (one == "integer" || other == "integer")) {
    result = "integer";
  } else if (one.is_number() && other.is_number() && key.starts_with("min")) {
    result = std::max(one, other);
  } else if (one.is_number() && other.is_number() && key.starts_with("max")) {
    result = std::min(one, other);
  } else {
    refuse_unsupported(path,
                       fmt::format("two different '{}' for one value are not supported", printable(key)));
  }
  return result;
}

}  // namespace

Json merged_schema(Json one, const Json& other, const std::string& path, const SchemaReferences& referenced) {
  if (other.is_boolean() && other.get<bool>()) return one;
  if (!other.is_object()) refuse_schema(path, "schemas: objects or true");
  check_other_properties(one, other, path);
  check_other_properties(other, one, path);
  for (const auto& [key, value] : other.items()) {
    if (holds_definitions(key)) continue;
    if (key == "$ref" && one.contains(key)) {
      one = merged_schema(std::move(one), referenced(value, path), path, referenced);
    } else if (!one.contains(key) || is_annotation(key)) {
      one[key] = value;
    } else if (one[key] != value) {
      one[key] = both(key, one[key], value, path);
    }
  }
  return one;
}

}  // namespace tessera::engine
