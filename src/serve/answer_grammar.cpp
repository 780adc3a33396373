#include "serve/answer_grammar.h"

#include "engine/gbnf.h"
#include "engine/json_schema.h"
#include "serve/openai_format.h"

namespace tessera::serve {
namespace {

std::string schema_grammar(const Json& schema, const std::string& path) {
  try {
    return engine::json_schema_to_gbnf(to_text(schema));
  } catch (const Error& error) {
    throw ApiError(400, path + ": " + error.what(), path, "invalid_schema");
  }
}

std::string read_json_schema(JsonFields& format, const std::string& path) {
  JsonFields described(format.require("json_schema"), path + ".json_schema");
  described.require("name");
  described.string("name", 64);
  described.string("description");
  described.boolean("strict");  // always is
  const Json* schema = described.find("schema");
  described.finish();
  if (schema == nullptr) return schema_grammar({{"type", "object"}}, path + ".json_schema");
  return schema_grammar(*schema, path + ".json_schema.schema");
}

std::string read_response_format(JsonFields& fields) {
  const Json* given = fields.find("response_format");
  if (given == nullptr) return {};
  const std::string path = fields.path_of("response_format");
  JsonFields format(*given, path);
  const Json& type = format.require("type");
  std::string grammar;
  if (type == "json_object") {
    grammar = schema_grammar({{"type", "object"}}, path);
  } else if (type == "json_schema") {
    grammar = read_json_schema(format, path);
  } else if (type != "text") {
    refuse_field(path + ".type", "expected text, json_object or json_schema, found {}", shown(type));
  }
  format.finish();
  return grammar;
}

}  // namespace

std::string read_answer_grammar(JsonFields& fields) {
  const std::string format = read_response_format(fields);
  const auto grammar = fields.string("grammar", std::size_t{1} << 20);
  if (!grammar) return format;
  if (!format.empty()) refuse_field(fields.path_of("grammar"), "cannot be combined with response_format");
  try {
    engine::parse_gbnf(*grammar);
  } catch (const Error& error) {
    throw ApiError(400, fields.path_of("grammar") + ": " + error.what(), fields.path_of("grammar"),
                   "invalid_grammar");
  }
  return *grammar;
}

}  // namespace tessera::serve
