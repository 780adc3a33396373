// JSON Schema as a grammar, so that a model's answer is always valid JSON of the wanted shape.
#pragma once
#include <string>
#include <string_view>

namespace tessera::engine {

// The grammar (GBNF) of the compact or lightly indented JSON texts of a schema: type (also a list of them),
// properties, required, additionalProperties, items, prefixItems, minItems, maxItems, minLength, maxLength,
// pattern, minimum, maximum and the exclusive ones, enum, const, anyOf, oneOf, allOf, $ref into the same
// document (recursive too). Properties come in the order of the schema; others only where
// additionalProperties says so, or where no properties are named. Annotations (title, description, default,
// format, ...) say nothing about the text. Error unsupported: any other keyword, by name and place, rather
// than a text that might break it; bad_input: no JSON, or a keyword of the wrong kind; limit: more than 64
// levels. `root`: the rule that is the text; another name lets a grammar around it call it.
std::string json_schema_to_gbnf(std::string_view schema, std::string_view root = "root");

}  // namespace tessera::engine
