#include "engine/schema_values.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "engine/schema_number.h"
#include "engine/schema_pattern.h"

namespace tessera::engine {
namespace {

using Json = SchemaJson;

bool has_type(const Json& value, const Json& type) {
  if (type.is_array()) {
    return std::ranges::any_of(type, [&](const Json& one) { return has_type(value, one); });
  }
  if (type == "integer") return value.is_number_integer();
  return type == value.type_name();
}

std::string json_text(const Json& value) {
  return gbnf_literal(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// The bound as an integer, and whether it is one exactly: 2.5 from below is 3 for integers.
std::pair<std::int64_t, bool> bound(const Json& value, bool whole, bool upper, const std::string& path) {
  constexpr double kMost = 1e15;
  if (!value.is_number()) refuse_schema(path, "a number");
  const double exact = value.get<double>();
  if (!(exact >= -kMost && exact <= kMost)) refuse_unsupported(path, "bounds beyond 10^15 are not supported");
  const double rounded = upper ? std::floor(exact) : std::ceil(exact);
  if (rounded != exact && !whole)
    refuse_unsupported(path, "bounds of numbers other than integers are not supported");
  return {static_cast<std::int64_t>(rounded), rounded == exact};
}

std::string pattern(const Json& schema, const std::string& path) {
  if (schema.contains("minLength") || schema.contains("maxLength")) {
    refuse_unsupported(path, "pattern beside minLength or maxLength is not supported");
  }
  if (!schema["pattern"].is_string()) refuse_schema(path + "/pattern", "a regular expression");
  try {
    return R"("\"" )" + pattern_to_gbnf(schema["pattern"].get<std::string>()) + R"( "\"")";
  } catch (const Error& error) {
    fail(error.kind(), "JSON schema: {}/{}", printable(path, 200), error.what());
  }
}

}  // namespace

std::string enumerated_gbnf(const Json& schema, const std::string& path) {
  for (const auto& [key, value] : schema.items()) {
    if (key == "enum" || key == "const" || key == "type" || holds_definitions(key) || is_annotation(key))
      continue;
    refuse_unsupported(path, fmt::format("'{}' beside enum or const is not supported", printable(key)));
  }
  const Json list = schema.contains("const") ? Json::array({schema["const"]}) : schema["enum"];
  if (!list.is_array() || list.empty()) refuse_schema(path + "/enum", "a list of values");
  std::string text;
  for (const Json& value : list) {
    const bool in_enum =
        !schema.contains("enum") || std::ranges::find(schema["enum"], value) != schema["enum"].end();
    if (!in_enum || (schema.contains("type") && !has_type(value, schema["type"]))) continue;
    text += (text.empty() ? "(" : " | ") + json_text(value);
  }
  if (text.empty()) refuse_unsupported(path, "no value is of the type");
  return text + ")";
}

std::string number_gbnf(const std::string& type, const Json& schema, const std::string& path) {
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
  if (text.empty()) refuse_schema(path, "bounds that some number lies between");
  return text;
}

std::string string_gbnf(const Json& schema, const std::string& path) {
  if (schema.contains("pattern")) return pattern(schema, path);
  const auto least = schema_count(schema, "minLength", path);
  const auto most = schema_count(schema, "maxLength", path);
  if (!least && !most) return "string";
  if (most && *most < least.value_or(0)) refuse_schema(path, "a maxLength that is not below minLength");
  const std::string end = most ? std::to_string(*most) : "";
  return fmt::format(R"("\"" char{{{},{}}} "\"")", least.value_or(0), end);
}

}  // namespace tessera::engine
