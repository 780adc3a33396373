// Schemas of single values (numbers, strings, enumerations) as grammars. For .cpp files of this room only.
#pragma once
#include <string>

#include "engine/schema_keywords.h"

namespace tessera::engine {

// GBNF expressions of what a schema allows. Errors of json_schema_to_gbnf, with `path` as the place.
std::string enumerated_gbnf(const SchemaJson& schema, const std::string& path);  // enum and const
std::string number_gbnf(const std::string& type, const SchemaJson& schema, const std::string& path);
std::string string_gbnf(const SchemaJson& schema, const std::string& path);

}  // namespace tessera::engine
