// Answers in the shapes of OpenAI's API: whole ones, chunks of a stream, usage, log probabilities.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/request.h"
#include "serve/json_fields.h"
#include "serve/tool_call_parser.h"
#include "text/tokenizer.h"

namespace tessera::serve {

enum class CompletionKind { chat, text };

// What every part of an answer repeats.
struct AnswerHead {
  CompletionKind kind = CompletionKind::chat;
  std::string id;
  std::string model;
  std::int64_t created = 0;                           // seconds since 1970
  std::optional<std::int64_t> dropped_messages = {};  // told where "truncation" is auto
};

// "chatcmpl-" or "cmpl-" and 24 random hexadecimal digits.
AnswerHead new_answer_head(CompletionKind kind, const std::string& model);

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON
};

// "call_" and 24 random hexadecimal digits.
std::string new_call_id();

// "stop", "tool_calls" or "length".
std::string_view openai_finish_reason(engine::FinishReason reason, bool has_calls = false);
Json usage_json(const engine::Usage& usage);

// Log probabilities of `tokens` in the form of the kind. `text_offset`: bytes of text before them, kept up by
// the call (text completions only).
Json logprobs_json(CompletionKind kind, const text::Tokenizer& tokenizer,
                   std::span<const engine::SampledToken> tokens, std::int64_t& text_offset);

// One choice of a whole answer. `logprobs`: null when not asked for.
Json choice_json(CompletionKind kind, std::int64_t index, const std::string& text,
                 std::span<const ToolCall> calls, Json logprobs, engine::FinishReason reason);
Json answer_json(const AnswerHead& head, Json choices, const engine::Usage& usage);

// What is new in a chunk: a text, or a part of a call (AnswerDelta); `id`: the call's, in its first part.
// `first`: names the role too.
Json text_delta_json(CompletionKind kind, const std::string& text, bool first);
Json call_delta_json(const AnswerDelta& delta, const std::string& id, bool first);
// One choice of a chunk. `reason`: null in all but the last.
Json chunk_choice_json(CompletionKind kind, std::int64_t index, Json delta, Json logprobs, Json reason);
// `usage`: null in all chunks but the last when asked for, left out otherwise.
Json chunk_json(const AnswerHead& head, Json choices, const Json* usage);

// "data: ...\n\n" (server-sent events, HTML Living Standard 9.2).
std::string server_sent_event(const Json& data);
HttpResponse event_stream_head();
inline constexpr std::string_view kStreamEnd = "data: [DONE]\n\n";

// JSON text; bytes that are no UTF-8 become U+FFFD.
std::string to_text(const Json& value);

}  // namespace tessera::serve
