#include "serve/openai_api.h"

#include <algorithm>
#include <utility>

#include "engine/generation.h"
#include "engine/lora_adapters.h"
#include "serve/answer_grammar.h"
#include "serve/chat_prompt.h"
#include "serve/generation_fields.h"
#include "serve/shortened_prompt.h"
#include "serve/tool_calls.h"
#include "text/chat_prompt.h"

namespace tessera::serve {
namespace {

constexpr std::int64_t kMostTopLogprobs = 20;
constexpr std::size_t kMostPrompts = 64;
// Of the context, which a shortened conversation leaves free where max_tokens does not say how much.
constexpr std::int64_t kShareOfTheAnswer = 4;

GenerationLimits limits_of(const ServedModel& served) {
  return {.context_size = served.backend->context_size(),
          .vocabulary_size = vocabulary_size(served.loaded())};
}

// "model" names the model, or one of its adapters.
struct ChosenModel {
  std::string name;
  nn::LoraId lora = nn::kNoLora;
};

ChosenModel read_model(JsonFields& fields, const ServedModel& served) {
  check_model(fields, served_names(served));
  const std::string name = fields.string("model").value_or(served.names.front());
  const bool own = std::ranges::find(served.names, name) != served.names.end();
  const auto adapter = own ? std::nullopt : engine::find_lora(served.loaded(), name);
  return adapter ? ChosenModel{name, *adapter} : ChosenModel{served.names.front(), nn::kNoLora};
}

engine::Request request_for(std::vector<TokenId> prompt, const GenerationFields& read) {
  engine::Request request;
  request.prompt = std::move(prompt);
  request.sampling = read.sampling;
  request.max_new_tokens = read.max_new_tokens;
  request.stop = read.stop;
  request.ignore_end_of_generation = read.ignore_eos;
  return request;
}

// Chat: a switch and how many alternatives.
std::int64_t read_chat_logprobs(JsonFields& fields) {
  const bool wanted = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kMostTopLogprobs);
  if (top && !wanted) refuse_field(fields.path_of("top_logprobs"), "expected 'logprobs' to be true with it");
  return wanted ? top.value_or(0) : -1;
}

// What the API has and this server has not, or not yet: given with an effect it is refused, not ignored.
void refuse_unsupported_chat(JsonFields& fields) {
  fields.only("functions", Json::array());
  fields.only("function_call", "none");
  fields.only("modalities", Json::array({"text"}));
  fields.only("store", false);
  for (const char* name : {"audio", "web_search_options", "reasoning_effort", "verbosity"})
    fields.only(name, nullptr);
  fields.ignore("prediction");  // a hint that makes the same text sooner
}

// "prompt": a text, texts, token ids, or lists of token ids.
struct Prompts {
  std::vector<std::vector<TokenId>> tokens;
  std::vector<std::string> texts;  // the same, to echo
};

std::vector<TokenId> read_token_ids(const Json& list, const std::string& path, std::int64_t vocabulary) {
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json& id = list[i];
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= static_cast<std::uint64_t>(vocabulary)) {
      refuse_field(fmt::format("{}[{}]", path, i), "expected a token id in [0, {}), found {}", vocabulary,
                   shown(id));
    }
    tokens.push_back(id.get<TokenId>());
  }
  return tokens;
}

std::vector<TokenId> encode_text(const text::Tokenizer& tokenizer, const std::string& text) {
  std::vector<TokenId> tokens = tokenizer.encode(text);
  if (!tokens.empty()) return tokens;
  const auto begin = tokenizer.bos_token() ? tokenizer.bos_token() : tokenizer.eos_token();
  if (!begin) refuse_field("prompt", "is empty, and this model has no token to begin a text with");
  return {*begin};
}

Prompts read_prompts(JsonFields& fields, const ServedModel& served) {
  const Json& given = fields.require("prompt");
  const std::int64_t vocabulary = vocabulary_size(served.loaded());
  const text::Tokenizer& tokenizer = *served.loaded().tokenizer;
  const bool is_one = given.is_string() || (given.is_array() && !given.empty() && given[0].is_number());
  const Json list = is_one ? Json::array({given}) : given;
  if (!list.is_array() || list.empty() || list.size() > kMostPrompts) {
    refuse_field("prompt", "expected a text, token ids, or an array of 1 to {} of them, found {}",
                 kMostPrompts, shown(given));
  }
  Prompts prompts;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string path = is_one ? "prompt" : fmt::format("prompt[{}]", i);
    if (list[i].is_string()) {
      prompts.tokens.push_back(encode_text(tokenizer, list[i].get<std::string>()));
      prompts.texts.push_back(list[i].get<std::string>());
    } else if (list[i].is_array() && !list[i].empty()) {
      prompts.tokens.push_back(read_token_ids(list[i], path, vocabulary));
      prompts.texts.push_back(tokenizer.decode(prompts.tokens.back()));
    } else {
      refuse_field(path, "expected a text or token ids, found {}", shown(list[i]));
    }
    check_context(prompts.tokens.back().size(), served, path);
  }
  return prompts;
}

}  // namespace

void check_context(std::size_t tokens, const ServedModel& served, const std::string& param) {
  const auto context = static_cast<std::size_t>(served.backend->context_size());
  if (tokens < context) return;
  throw ApiError(
      400,
      fmt::format("{}: {} tokens, but the context holds {} and the answer needs room: nothing was cut; "
                  "shorten it, or start the server with a larger --ctx-size",
                  param, tokens, context),
      param, "context_length_exceeded");
}

std::shared_ptr<const engine::TokenGrammar> token_grammar(const std::string& gbnf, const ServedModel& served,
                                                          const std::string& param) {
  if (gbnf.empty()) return nullptr;
  try {
    return served.grammars->get(gbnf);
  } catch (const Error& error) {
    throw ApiError(400, param + ": " + error.what(), param, "invalid_grammar");
  }
}

CompletionPlan plan_chat_completion(const Json& body, const ServedModel& served, const std::string& client) {
  JsonFields fields(body, "");
  const ChosenModel model = read_model(fields, served);
  Json messages = read_messages(fields);
  Json switches = read_template_switches(fields);
  GenerationFields read = read_generation_fields(fields, served.sampling, limits_of(served));
  read.sampling.logprobs = read_chat_logprobs(fields);
  const auto most = fields.integer("max_completion_tokens", 1, served.backend->context_size());
  if (most && read.max_new_tokens >= 0 && *most != read.max_new_tokens) {
    refuse_field("max_completion_tokens", "is {}, but max_tokens is {}", *most, read.max_new_tokens);
  }
  read.max_new_tokens = most.value_or(read.max_new_tokens);
  const auto tools = read_tools(fields, served.loaded());
  const std::string format = read_answer_grammar(fields);
  refuse_unsupported_chat(fields);
  fields.finish();

  if (tools) messages = messages_with_tools(std::move(messages), *tools);
  if (tools && tools->by_template) switches["tools"] = tools->list;
  CompletionPlan plan{.head = new_answer_head(CompletionKind::chat, model.name),
                      .stream = read.stream,
                      .include_usage = read.include_usage};
  const auto encode = [&](const Json& kept) {
    return text::encode_prompt(*served.loaded().tokenizer, render_chat(served.loaded(), kept, switches));
  };
  std::vector<TokenId> prompt;
  if (read.truncates) {
    const std::int64_t context = served.backend->context_size();
    const std::int64_t room = read.max_new_tokens >= 0 ? read.max_new_tokens : context / kShareOfTheAnswer;
    ShortenedPrompt shortened = shortened_prompt(messages, context - room, encode);
    prompt = std::move(shortened.tokens);
    plan.head.dropped_messages = shortened.dropped_messages;
  } else {
    prompt = encode(messages);
  }
  check_context(prompt.size(), served, "messages");
  if (tools) plan.tools = call_form(*tools, !format.empty());
  plan.jobs.push_back(
      {.request = request_for(std::move(prompt), read), .n = read.n, .client = client, .lora = model.lora});
  plan.jobs.back().request.grammar = tools ? token_grammar(tool_grammar(*tools, format), served, "tools")
                                           : token_grammar(format, served, "response_format");
  return plan;
}

CompletionPlan plan_text_completion(const Json& body, const ServedModel& served, const std::string& client) {
  JsonFields fields(body, "");
  const ChosenModel model = read_model(fields, served);
  GenerationFields read = read_generation_fields(fields, served.sampling, limits_of(served));
  read.sampling.logprobs = fields.integer("logprobs", 0, kMostTopLogprobs).value_or(-1);
  if (read.truncates) refuse_field("truncation", "expected disabled: a text has no turns to leave out");
  const bool echo = fields.boolean("echo").value_or(false);
  if (echo && read.sampling.logprobs >= 0) refuse_field("echo", "cannot be combined with logprobs");
  fields.only("best_of", read.n);
  fields.only("suffix", "");
  Prompts prompts = read_prompts(fields, served);
  const auto grammar = token_grammar(read_answer_grammar(fields), served, "grammar");
  fields.finish();

  CompletionPlan plan{.head = new_answer_head(CompletionKind::text, model.name),
                      .stream = read.stream,
                      .include_usage = read.include_usage};
  for (std::vector<TokenId>& prompt : prompts.tokens) {
    plan.jobs.push_back(
        {.request = request_for(std::move(prompt), read), .n = read.n, .client = client, .lora = model.lora});
    plan.jobs.back().request.grammar = grammar;
  }
  if (echo) plan.echoes = std::move(prompts.texts);
  return plan;
}

std::vector<std::string> served_names(const ServedModel& served) {
  std::vector<std::string> names = served.names;
  for (const engine::LoadedLora& adapter : served.loaded().adapters) {
    // Of an adapter with the model's own name nobody can ask.
    if (std::ranges::find(served.names, adapter.name) == served.names.end()) names.push_back(adapter.name);
  }
  return names;
}

Json model_json(const ServedModel& served, const std::string& name, std::int64_t created) {
  const std::vector<std::string> names = served_names(served);
  if (std::ranges::find(names, name) == names.end()) {
    throw ApiError(404, fmt::format("no model '{}'; /v1/models lists them", printable(name)), "model",
                   "model_not_found");
  }
  Json model{{"id", name},
             {"object", "model"},
             {"created", created},
             {"owned_by", "tessera"},
             {"context_size", served.backend->context_size()},
             {"vocabulary_size", vocabulary_size(served.loaded())}};
  const bool own = std::ranges::find(served.names, name) != served.names.end();
  if (!own && engine::find_lora(served.loaded(), name)) model["parent"] = served.names.front();
  return model;
}

Json models_json(const ServedModel& served, std::int64_t created) {
  Json list = Json::array();
  for (const std::string& name : served_names(served)) list.push_back(model_json(served, name, created));
  return {{"object", "list"}, {"data", std::move(list)}};
}

}  // namespace tessera::serve
