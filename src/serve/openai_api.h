// Requests of OpenAI's API to plans of what to generate; every field checked.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/grammar_cache.h"
#include "serve/backend.h"
#include "serve/completion_answer.h"
#include "serve/json_fields.h"

namespace tessera::serve {

// What requests are read against.
struct ServedModel {
  Backend* backend = nullptr;
  engine::SamplingOptions sampling = {};                // where a request does not say otherwise
  std::vector<std::string> names = {};                  // that "model" may have; the first is told in answers
  std::shared_ptr<engine::GrammarCache> grammars = {};  // of this model; Service::set_model makes it
  const engine::LoadedModel& loaded() const { return backend->loaded(); }
};

// POST /v1/chat/completions and /v1/completions. `client`: HttpRequest::client. ApiError 400 naming the
// field; 404: another model.
CompletionPlan plan_chat_completion(const Json& body, const ServedModel& served, const std::string& client);
CompletionPlan plan_text_completion(const Json& body, const ServedModel& served, const std::string& client);

// The grammar of a GBNF text that was read by read_answer_grammar() or tool_grammar(), bound to the model's
// tokens; empty: none. ApiError 400 naming `param`: this vocabulary cannot write any text of it.
std::shared_ptr<const engine::TokenGrammar> token_grammar(const std::string& gbnf, const ServedModel& served,
                                                          const std::string& param);

// ApiError 400 context_length_exceeded with both counts when `tokens` leave no room for an answer.
void check_context(std::size_t tokens, const ServedModel& served, const std::string& param);

// Every name that "model" may have: the model's, then its adapters'.
std::vector<std::string> served_names(const ServedModel& served);

// GET /v1/models, and one of them; an adapter's "parent" is the model.
Json models_json(const ServedModel& served, std::int64_t created);
Json model_json(const ServedModel& served, const std::string& name, std::int64_t created);

}  // namespace tessera::serve
