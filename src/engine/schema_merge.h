// Two JSON schemas that must both hold, as one. For .cpp files of this room only.
#pragma once
#include <functional>
#include <string>

#include "engine/schema_keywords.h"

namespace tessera::engine {

// What a "$ref" means; the path is for errors.
using SchemaReferences = std::function<const SchemaJson&(const SchemaJson& target, const std::string& path)>;

// A schema of what both allow (allOf, and keywords beside anyOf or $ref). Error unsupported: what the two say
// about one value cannot be put together.
SchemaJson merged_schema(SchemaJson one, const SchemaJson& other, const std::string& path,
                         const SchemaReferences& referenced);

}  // namespace tessera::engine
