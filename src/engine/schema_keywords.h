// What a JSON schema may say, and the errors about what it says. For .cpp files of this room only.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace tessera::engine {

using SchemaJson = nlohmann::ordered_json;

// Error bad_input or unsupported, with the place in the document.
[[noreturn]] void refuse_schema(const std::string& path, const std::string& expected);
[[noreturn]] void refuse_unsupported(const std::string& path, const std::string& what);
// Error unsupported for a keyword that is neither an annotation nor one that grammars know.
void refuse_unknown_keywords(const SchemaJson& schema, const std::string& path);

// Says nothing about the text: title, description, default, ...
bool is_annotation(std::string_view keyword);
// Where schemas stand that only references reach.
bool holds_definitions(std::string_view keyword);
// Keywords that say something about the text, but for `except`.
bool has_constraints_besides(const SchemaJson& schema, std::string_view except);
// The type of the values that a schema without "type" must mean: keywords without a type would bind values of
// theirs only; here they choose it. Empty: any.
std::string implied_type(const SchemaJson& schema);
// A number of items or characters. Error bad_input: none, or too many.
std::optional<std::int64_t> schema_count(const SchemaJson& schema, const char* key, const std::string& path);

// Text as a literal of GBNF.
std::string gbnf_literal(std::string_view text);

}  // namespace tessera::engine
