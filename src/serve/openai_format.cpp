#include "serve/openai_format.h"

#include <chrono>
#include <random>
#include <utility>

#include "text/unicode.h"

namespace tessera::serve {
namespace {

std::string random_hex() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}", device(), device(), device());
}

// The token's own bytes: part of a character, perhaps.
Json chat_token(const text::Tokenizer& tokenizer, TokenId token, float logprob) {
  const std::string bytes = tokenizer.token_bytes(token);
  Json list = Json::array();
  for (const char c : bytes) list.push_back(static_cast<unsigned char>(c));
  return {{"token", text::replace_ill_formed(bytes)}, {"logprob", logprob}, {"bytes", std::move(list)}};
}

Json chat_logprobs(const text::Tokenizer& tokenizer, std::span<const engine::SampledToken> tokens) {
  Json content = Json::array();
  for (const engine::SampledToken& token : tokens) {
    Json entry = chat_token(tokenizer, token.token, token.logprob);
    Json top = Json::array();
    for (const auto& other : token.top) top.push_back(chat_token(tokenizer, other.token, other.logprob));
    entry["top_logprobs"] = std::move(top);
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json text_logprobs(const text::Tokenizer& tokenizer, std::span<const engine::SampledToken> tokens,
                   std::int64_t& text_offset) {
  Json result = {{"tokens", Json::array()},
                 {"token_logprobs", Json::array()},
                 {"top_logprobs", Json::array()},
                 {"text_offset", Json::array()}};
  for (const engine::SampledToken& token : tokens) {
    const std::string bytes = tokenizer.token_bytes(token.token);
    Json top = Json::object();
    for (const auto& other : token.top) {
      top[text::replace_ill_formed(tokenizer.token_bytes(other.token))] = other.logprob;
    }
    result["tokens"].push_back(text::replace_ill_formed(bytes));
    result["token_logprobs"].push_back(token.logprob);
    result["top_logprobs"].push_back(std::move(top));
    result["text_offset"].push_back(text_offset);
    text_offset += static_cast<std::int64_t>(bytes.size());
  }
  return result;
}

}  // namespace

AnswerHead new_answer_head(CompletionKind kind, const std::string& model) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {.kind = kind,
          .id = (kind == CompletionKind::chat ? "chatcmpl-" : "cmpl-") + random_hex(),
          .model = model,
          .created = std::chrono::duration_cast<std::chrono::seconds>(now).count()};
}

std::string new_call_id() { return "call_" + random_hex(); }

std::string_view openai_finish_reason(engine::FinishReason reason, bool has_calls) {
  using engine::FinishReason;
  if (reason != FinishReason::end_of_generation && reason != FinishReason::stop) return "length";
  return has_calls ? "tool_calls" : "stop";
}

Json usage_json(const engine::Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

Json logprobs_json(CompletionKind kind, const text::Tokenizer& tokenizer,
                   std::span<const engine::SampledToken> tokens, std::int64_t& text_offset) {
  return kind == CompletionKind::chat ? chat_logprobs(tokenizer, tokens)
                                      : text_logprobs(tokenizer, tokens, text_offset);
}

Json choice_json(CompletionKind kind, std::int64_t index, const std::string& text,
                 std::span<const ToolCall> calls, Json logprobs, engine::FinishReason reason) {
  Json choice = {{"index", index}};
  if (kind == CompletionKind::chat) {
    const bool silent = text.empty() && !calls.empty();
    Json message = {{"role", "assistant"}, {"content", silent ? Json() : Json(text)}, {"refusal", nullptr}};
    for (const ToolCall& call : calls) {
      message["tool_calls"].push_back({{"id", call.id},
                                       {"type", "function"},
                                       {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
    choice["message"] = std::move(message);
  } else {
    choice["text"] = text;
  }
  choice["logprobs"] = std::move(logprobs);
  choice["finish_reason"] = openai_finish_reason(reason, !calls.empty());
  return choice;
}

Json answer_json(const AnswerHead& head, Json choices, const engine::Usage& usage) {
  Json answer = {{"id", head.id},
                 {"object", head.kind == CompletionKind::chat ? "chat.completion" : "text_completion"},
                 {"created", head.created},
                 {"model", head.model},
                 {"choices", std::move(choices)},
                 {"usage", usage_json(usage)}};
  if (head.dropped_messages) answer["dropped_messages"] = *head.dropped_messages;
  return answer;
}

Json text_delta_json(CompletionKind kind, const std::string& text, bool first) {
  if (kind == CompletionKind::text) return text;
  Json delta = Json::object();
  if (first) delta["role"] = "assistant";
  delta["content"] = text;
  return delta;
}

Json call_delta_json(const AnswerDelta& delta, const std::string& id, bool first) {
  Json call = {{"index", delta.call}};
  if (!id.empty()) {
    call["id"] = id;
    call["type"] = "function";
    call["function"]["name"] = delta.name;
  }
  call["function"]["arguments"] = delta.arguments;
  Json message = Json::object();
  if (first) message = {{"role", "assistant"}, {"content", nullptr}};
  message["tool_calls"] = Json::array({std::move(call)});
  return message;
}

Json chunk_choice_json(CompletionKind kind, std::int64_t index, Json delta, Json logprobs, Json reason) {
  Json choice = {{"index", index}};
  choice[kind == CompletionKind::chat ? "delta" : "text"] = std::move(delta);
  choice["logprobs"] = std::move(logprobs);
  choice["finish_reason"] = std::move(reason);
  return choice;
}

Json chunk_json(const AnswerHead& head, Json choices, const Json* usage) {
  Json chunk = {{"id", head.id},
                {"object", head.kind == CompletionKind::chat ? "chat.completion.chunk" : "text_completion"},
                {"created", head.created},
                {"model", head.model},
                {"choices", std::move(choices)}};
  if (usage != nullptr) chunk["usage"] = *usage;
  if (head.dropped_messages) chunk["dropped_messages"] = *head.dropped_messages;
  return chunk;
}

std::string to_text(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

HttpResponse event_stream_head() {
  return {.content_type = "text/event-stream; charset=utf-8", .headers = {{"X-Accel-Buffering", "no"}}};
}

std::string server_sent_event(const Json& data) { return "data: " + to_text(data) + "\n\n"; }

}  // namespace tessera::serve
