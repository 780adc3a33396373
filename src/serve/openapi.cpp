#include "serve/openapi.h"

#include <utility>

#include "serve/session_schemas.h"

namespace tessera::serve {
namespace {

// Ranges that depend on the model (top_k, token ids) or on the context (max_tokens) have no maximum here.
constexpr const char* kGenerationProperties = R"json({
  "model": {"type": "string", "description": "A name that /v1/models lists; the only model when left out."},
  "temperature": {"type": "number", "minimum": 0, "maximum": 2, "description": "0: always the most probable token."},
  "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
  "top_k": {"type": "integer", "minimum": 0, "description": "0: all."},
  "min_p": {"type": "number", "minimum": 0, "maximum": 1},
  "typical_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
  "repetition_penalty": {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
  "presence_penalty": {"type": "number", "minimum": -2, "maximum": 2},
  "frequency_penalty": {"type": "number", "minimum": -2, "maximum": 2},
  "seed": {"type": "integer", "minimum": 0, "maximum": 9007199254740991,
           "description": "The same seed gives the same text; random when left out."},
  "logit_bias": {"type": "object", "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
                 "description": "By token id."},
  "max_tokens": {"type": "integer", "minimum": 1, "description": "Until the context is full when left out."},
  "stop": {"description": "Texts that end the answer; not part of it.",
           "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 16}]},
  "ignore_eos": {"type": "boolean"},
  "n": {"type": "integer", "minimum": 1, "maximum": 64, "description": "Answers; number i takes the seed + i."},
  "stream": {"type": "boolean", "description": "Server-sent events, the last one [DONE]."},
  "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
  "grammar": {"type": "string", "description": "GBNF; the answer follows it."},
  "truncation": {"enum": ["auto", "disabled"], "description": "auto (messages only): a conversation that does not fit goes on without its oldest turns, and dropped_messages says without how many. Else it is an error."},
  "user": {"type": "string"}
})json";

constexpr const char* kSchemas = R"json({
  "Error": {"type": "object", "properties": {"error": {"type": "object", "properties": {
    "message": {"type": "string"}, "type": {"type": "string"},
    "param": {"type": ["string", "null"], "description": "The field at fault."}, "code": {"type": ["string", "null"]}}}}},
  "Progress": {"type": ["object", "null"], "description": "While the model is loaded.", "properties": {
    "stage": {"type": "string"}, "done": {"type": "integer"}, "total": {"type": "integer"},
    "bytes_per_second": {"type": "number"}, "seconds_left": {"type": ["number", "null"]}}},
  "Health": {"type": "object", "properties": {"status": {"enum": ["ok", "loading", "failed", "stopping"],
    "description": "All but ok come with HTTP status 503."}, "progress": {"$ref": "#/components/schemas/Progress"},
    "error": {"type": "string"}}},
  "Status": {"type": "object", "properties": {"ready": {"type": "boolean"},
    "model": {"type": ["object", "null"], "properties": {"id": {"type": "string"}, "name": {"type": "string"},
      "architecture": {"type": "string"}, "parameters": {"type": "integer"}, "context_size": {"type": "integer"},
      "vocab_size": {"type": "integer"}, "weights_bytes": {"type": "integer"}, "chat": {"type": "boolean"}}},
    "progress": {"$ref": "#/components/schemas/Progress"}, "error": {"type": ["string", "null"]},
    "cache": {"type": "object", "properties": {"tokens": {"type": "integer"}, "used_tokens": {"type": "integer"}}},
    "running": {"type": "integer"}, "waiting": {"type": "integer"}, "version": {"type": "string"},
    "defaults": {"type": "object", "additionalProperties": {"type": "number"}}}},
  "Model": {"type": "object", "properties": {"id": {"type": "string"}, "object": {"const": "model"},
    "created": {"type": "integer"}, "owned_by": {"type": "string"}, "context_size": {"type": "integer"},
    "vocabulary_size": {"type": "integer"}, "parent": {"type": "string"}}},
  "ModelList": {"type": "object", "properties": {"object": {"const": "list"},
    "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}}},
  "ToolCall": {"type": "object", "required": ["function"], "properties": {"id": {"type": "string"}, "type": {"const": "function"},
    "function": {"type": "object", "required": ["name", "arguments"], "properties": {"name": {"type": "string"},
      "arguments": {"type": "string", "description": "A JSON object, as text."}}}}},
  "Tool": {"type": "object", "required": ["type", "function"], "properties": {"type": {"const": "function"},
    "function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "maxLength": 64},
      "description": {"type": "string"}, "parameters": {"type": "object", "description": "A JSON schema."},
      "strict": {"type": "boolean", "description": "A schema that cannot bind the arguments is an error."}}}}},
  "ResponseFormat": {"type": "object", "required": ["type"], "description": "The answer follows it, whatever the model would say.",
    "properties": {"type": {"enum": ["text", "json_object", "json_schema"]}, "json_schema": {"type": "object",
      "required": ["name"], "properties": {"name": {"type": "string"}, "schema": {"type": "object"}}}}},
  "Message": {"type": "object", "required": ["role"], "properties": {
    "role": {"enum": ["system", "developer", "user", "assistant", "tool"]}, "name": {"type": "string"},
    "tool_calls": {"type": "array", "items": {"$ref": "#/components/schemas/ToolCall"}},
    "tool_call_id": {"type": "string", "description": "In a tool's message: the call that it answers."},
    "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object",
      "required": ["type", "text"], "properties": {"type": {"const": "text"}, "text": {"type": "string"}}}}]}}},
  "Usage": {"type": "object", "properties": {"prompt_tokens": {"type": "integer"},
    "completion_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"},
    "prompt_tokens_details": {"type": "object", "properties": {"cached_tokens": {"type": "integer"}}}}},
  "ChatCompletionRequest": {"type": "object", "required": ["messages"], "additionalProperties": false, "properties": {
    "messages": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Message"}},
    "max_completion_tokens": {"type": "integer", "minimum": 1, "description": "The same as max_tokens."},
    "tools": {"type": "array", "maxItems": 128, "items": {"$ref": "#/components/schemas/Tool"}},
    "tool_choice": {"description": "auto when left out; required and a function are forced.",
      "anyOf": [{"enum": ["none", "auto", "required"]}, {"type": "object", "required": ["type", "function"]}]},
    "parallel_tool_calls": {"type": "boolean",
      "description": "Several calls in one answer; when left out, only where tool_choice is auto."},
    "response_format": {"$ref": "#/components/schemas/ResponseFormat"},
    "logprobs": {"type": "boolean"},
    "top_logprobs": {"type": "integer", "minimum": 0, "maximum": 20, "description": "With logprobs."},
    "chat_template_kwargs": {"type": "object", "additionalProperties": {"type": ["boolean", "number"]}}}},
  "ChatCompletion": {"type": "object", "properties": {"id": {"type": "string"}, "object": {"const": "chat.completion"},
    "created": {"type": "integer"}, "model": {"type": "string"}, "usage": {"$ref": "#/components/schemas/Usage"},
    "dropped_messages": {"type": "integer", "description": "Where truncation is auto."},
    "choices": {"type": "array", "items": {"type": "object", "properties": {"index": {"type": "integer"},
      "message": {"$ref": "#/components/schemas/Message"}, "logprobs": {"type": ["object", "null"]},
      "finish_reason": {"enum": ["stop", "length", "tool_calls"]}}}}}},
  "CompletionRequest": {"type": "object", "required": ["prompt"], "additionalProperties": false, "properties": {
    "prompt": {"description": "A text, texts, token ids, or lists of token ids.",
      "anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": ["string", "integer", "array"]}}]},
    "logprobs": {"type": "integer", "minimum": 0, "maximum": 20}, "echo": {"type": "boolean"}}},
  "Completion": {"type": "object", "properties": {"id": {"type": "string"}, "object": {"const": "text_completion"},
    "created": {"type": "integer"}, "model": {"type": "string"}, "usage": {"$ref": "#/components/schemas/Usage"},
    "choices": {"type": "array", "items": {"type": "object", "properties": {"index": {"type": "integer"},
      "text": {"type": "string"}, "logprobs": {"type": ["object", "null"]},
      "finish_reason": {"enum": ["stop", "length"]}}}}}},
  "PlainChatRequest": {"type": "object", "required": ["user_id", "user_input"], "additionalProperties": false, "properties": {
    "user_id": {"type": "string", "minLength": 1, "maxLength": 256}, "user_input": {"type": "string", "minLength": 1},
    "restart": {"type": "boolean", "description": "Forget this user's conversation first."}}},
  "TokenizeRequest": {"type": "object", "required": ["content"], "additionalProperties": false, "properties": {
    "content": {"type": "string"}, "add_special": {"type": "boolean", "description": "BOS and the like; false when left out."},
    "parse_special": {"type": "boolean", "description": "Text such as <|im_end|> becomes its control token."},
    "with_pieces": {"type": "boolean"}}},
  "TokenizeAnswer": {"type": "object", "properties": {"tokens": {"type": "array"}, "count": {"type": "integer"}}},
  "DetokenizeRequest": {"type": "object", "required": ["tokens"], "additionalProperties": false, "properties": {
    "tokens": {"type": "array", "items": {"type": "integer", "minimum": 0}}, "skip_special": {"type": "boolean"}}},
  "DetokenizeAnswer": {"type": "object", "properties": {"content": {"type": "string"}}},
  "ApplyTemplateRequest": {"type": "object", "required": ["messages"], "additionalProperties": false, "properties": {
    "messages": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Message"}},
    "add_generation_prompt": {"type": "boolean", "description": "true when left out."},
    "chat_template_kwargs": {"type": "object", "additionalProperties": {"type": ["boolean", "number"]}}}},
  "ApplyTemplateAnswer": {"type": "object", "properties": {"prompt": {"type": "string"}, "count": {"type": "integer"}}}
})json";

Json schemas() {
  Json all = Json::parse(kSchemas);
  const Json shared = Json::parse(kGenerationProperties);
  for (const char* name : {"ChatCompletionRequest", "CompletionRequest"})
    all[name]["properties"].update(shared);
  all.update(session_schemas());
  return all;
}

Json reference(const std::string& schema) { return {{"$ref", "#/components/schemas/" + schema}}; }

Json content(const std::string& type, const std::string& schema) {
  // "text/plain; charset=utf-8" is named by its type alone.
  const std::string name = type.substr(0, type.find(';'));
  const Json plain = {{"type", name == "application/json" ? "object" : "string"}};
  Json described = Json::object();
  described[name] = {{"schema", schema.empty() ? plain : reference(schema)}};
  return described;
}

// The parts of the path in braces, and the query.
Json parameters_of(const Route& route) {
  Json parameters = Json::array();
  for (std::size_t begin = route.path.find('{'); begin != std::string::npos;
       begin = route.path.find('{', begin + 1)) {
    parameters.push_back({{"name", route.path.substr(begin + 1, route.path.find('}', begin) - begin - 1)},
                          {"in", "path"},
                          {"required", true},
                          {"schema", {{"type", "string"}}}});
  }
  for (const QueryParameter& parameter : route.query) {
    parameters.push_back({{"name", parameter.name},
                          {"in", "query"},
                          {"required", parameter.required},
                          {"description", parameter.description},
                          {"schema", {{"type", parameter.type}}}});
  }
  return parameters;
}

Json operation(const Route& route) {
  Json answer = {{"description", "Well."}};
  if (!route.response_type.empty()) answer["content"] = content(route.response_type, route.response_schema);
  Json operation = {{"summary", route.summary}};
  if (Json parameters = parameters_of(route); !parameters.empty())
    operation["parameters"] = std::move(parameters);
  if (!route.request_schema.empty()) {
    operation["requestBody"] = {{"required", true},
                                {"content", content("application/json", route.request_schema)}};
  }
  operation["responses"] = {{"200", std::move(answer)},
                            {"default",
                             {{"description", "What went wrong, and with which field."},
                              {"content", content("application/json", "Error")}}}};
  if (route.open) operation["security"] = Json::array();
  return operation;
}

std::string lower(std::string method) {
  for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
  return method;
}

}  // namespace

Json openapi_json(const RouteTable& routes) {
  Json paths = Json::object();
  for (const Route& route : routes.routes()) paths[route.path][lower(route.method)] = operation(route);
  Json document = {
      {"openapi", "3.1.0"},
      {"info", {{"title", "Tessera"}, {"version", TESSERA_VERSION}}},
      {"paths", std::move(paths)},
      {"components",
       {{"schemas", schemas()}, {"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}}},
      {"security", Json::array({{{"key", Json::array()}}})}};
  return document;
}

}  // namespace tessera::serve
