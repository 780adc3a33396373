#include "serve/session_schemas.h"

namespace tessera::serve {
namespace {

constexpr const char* kSchemas = R"json({
  "SessionParameters": {"type": "object", "additionalProperties": false, "properties": {
    "mode": {"enum": ["chat", "story"], "description": "story: the text goes on as it is, without a template."},
    "system": {"type": "string", "description": "Stands for a system message at the beginning of the path."},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_k": {"type": "integer", "minimum": 0, "maximum": 1000000000, "description": "0: all."},
    "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "min_p": {"type": "number", "minimum": 0, "maximum": 1},
    "typical_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "repeat_penalty": {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
    "repeat_last_n": {"type": "integer", "minimum": -1, "maximum": 1000000000},
    "frequency_penalty": {"type": "number", "minimum": -2, "maximum": 2},
    "presence_penalty": {"type": "number", "minimum": -2, "maximum": 2},
    "max_tokens": {"type": "integer", "minimum": -1, "maximum": 1000000000, "description": "-1: until the context is full."},
    "seed": {"type": "integer", "minimum": 0, "maximum": 9007199254740991},
    "stop": {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 16}}},
  "Session": {"type": "object", "properties": {"id": {"type": "integer"}, "title": {"type": "string"},
    "model": {"type": "string"}, "parameters": {"$ref": "#/components/schemas/SessionParameters"},
    "created_at": {"type": "integer", "description": "Milliseconds since 1970, as all times."},
    "updated_at": {"type": "integer"}, "archived": {"type": "boolean"},
    "leaf": {"type": ["integer", "null"], "description": "The message where the conversation stands."},
    "message_count": {"type": "integer"}}},
  "SessionMessage": {"type": "object", "properties": {"id": {"type": "integer"}, "parent": {"type": ["integer", "null"]},
    "role": {"enum": ["system", "user", "assistant", "tool"]}, "content": {"type": "string"},
    "model": {"type": "string", "description": "That wrote it; empty for what a person wrote."},
    "finish_reason": {"type": "string", "description": "eos, stop, length, context_full, cancelled, error, or empty."},
    "prompt_tokens": {"type": ["integer", "null"]}, "completion_tokens": {"type": ["integer", "null"]},
    "prefill_seconds": {"type": ["number", "null"]}, "decode_seconds": {"type": ["number", "null"]},
    "created_at": {"type": "integer"},
    "has_tokens": {"type": "boolean", "description": "Its tokens and their probabilities are stored: .../tokens"}}},
  "MessageTokens": {"type": "object", "properties": {"tokens": {"type": "array", "items": {"type": "object", "properties": {
    "text": {"type": "string"}, "logprob": {"type": "number"}, "top": {"type": "array", "items": {"type": "object",
      "properties": {"text": {"type": "string"}, "logprob": {"type": "number"}}}}}}}}},
  "SessionList": {"type": "object", "properties": {
    "sessions": {"type": "array", "items": {"$ref": "#/components/schemas/Session"}}, "next": {"type": ["string", "null"]}}},
  "SessionWithMessages": {"type": "object", "properties": {"session": {"$ref": "#/components/schemas/Session"},
    "messages": {"type": "array", "items": {"$ref": "#/components/schemas/SessionMessage"},
                 "description": "The whole tree, parents before their children."}}},
  "NewSession": {"type": "object", "additionalProperties": false, "properties": {
    "title": {"type": "string", "maxLength": 1024}, "parameters": {"$ref": "#/components/schemas/SessionParameters"}}},
  "SessionChange": {"type": "object", "additionalProperties": false, "properties": {
    "title": {"type": "string", "maxLength": 1024}, "parameters": {"$ref": "#/components/schemas/SessionParameters"},
    "archived": {"type": "boolean"}, "leaf": {"type": ["integer", "null"], "minimum": 1}}},
  "NewMessage": {"type": "object", "required": ["role", "content"], "additionalProperties": false, "properties": {
    "parent": {"type": ["integer", "null"], "minimum": 1, "description": "null: a new beginning."},
    "role": {"enum": ["system", "user", "assistant", "tool"]}, "content": {"type": "string"}}},
  "LeafChange": {"type": "object", "required": ["message"], "additionalProperties": false, "properties": {
    "message": {"type": ["integer", "null"], "minimum": 1},
    "newest_below": {"type": "boolean", "description": "To the newest message below it: the switch to a branch."}}},
  "ReplyRequest": {"type": "object", "additionalProperties": false, "properties": {
    "parent": {"type": ["integer", "null"], "minimum": 1,
               "description": "What is answered, or below which the content is stored; null: a new beginning."},
    "content": {"type": "string", "minLength": 1, "description": "A user's message. Without: parent is answered, again perhaps."},
    "parameters": {"$ref": "#/components/schemas/SessionParameters"},
    "logprobs": {"type": "integer", "minimum": 0, "maximum": 20, "description": "Alternatives told with each token."},
    "continue": {"type": "boolean", "description": "parent is an answer that goes on; the whole is stored as its sibling."}}},
  "DeletedMessages": {"type": "object", "properties": {"deleted": {"type": "integer"}}},
  "SessionExport": {"type": "object", "description": "What 'tessera sessions export' writes: docs/sessions.md."},
  "ImportedSessions": {"type": "object", "properties": {"sessions": {"type": "array", "items": {"type": "integer"}}}},
  "SearchResults": {"type": "object", "properties": {"next": {"type": ["integer", "null"]},
    "hits": {"type": "array", "items": {"type": "object", "properties": {"session": {"type": "integer"},
      "title": {"type": "string"}, "message": {"type": ["integer", "null"]}, "role": {"type": "string"},
      "created_at": {"type": "integer"}, "snippet": {"type": "string"},
      "highlights": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}},
                     "description": "[begin, end] in characters of the snippet."}}}}}}
})json";

}  // namespace

Json session_schemas() { return Json::parse(kSchemas); }

}  // namespace tessera::serve
