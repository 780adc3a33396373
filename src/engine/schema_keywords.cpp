#include "engine/schema_keywords.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/error.h"

namespace tessera::engine {
namespace {

constexpr std::int64_t kMostCount = 10'000;

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

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

void refuse_schema(const std::string& path, const std::string& expected) {
  fail(ErrorKind::bad_input, "JSON schema: {}: expected {}", printable(path, 200), expected);
}

void refuse_unsupported(const std::string& path, const std::string& what) {
  fail(ErrorKind::unsupported, "JSON schema: {}: {}", printable(path, 200), what);
}

void refuse_unknown_keywords(const SchemaJson& schema, const std::string& path) {
  for (const auto& [key, value] : schema.items()) {
    if (is_one_of(kKnown, key) || is_one_of(kAnnotations, key)) continue;
    refuse_unsupported(path, fmt::format("keyword '{}' is not supported", printable(key)));
  }
}

bool is_annotation(std::string_view keyword) { return is_one_of(kAnnotations, keyword); }

bool holds_definitions(std::string_view keyword) { return keyword == "$defs" || keyword == "definitions"; }

bool has_constraints_besides(const SchemaJson& schema, std::string_view except) {
  return std::ranges::any_of(schema.items(), [&](const auto& member) {
    const std::string& key = member.key();
    return key != except && !holds_definitions(key) && !is_annotation(key);
  });
}

std::string implied_type(const SchemaJson& schema) {
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

std::optional<std::int64_t> schema_count(const SchemaJson& schema, const char* key, const std::string& path) {
  if (!schema.contains(key)) return std::nullopt;
  const SchemaJson& value = schema[key];
  if (!value.is_number_integer() || value < 0 || value > kMostCount) {
    refuse_schema(path + "/" + key, fmt::format("0 to {}", kMostCount));
  }
  return value.get<std::int64_t>();
}

std::string gbnf_literal(std::string_view text) {
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

}  // namespace tessera::engine
