// Answers in the shapes of OpenAI's API: whole ones, chunks of a stream, usage, log probabilities.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/request.h"
#include "serve/json_fields.h"
#include "text/tokenizer.h"

namespace tessera::serve {

enum class CompletionKind { chat, text };

// What every part of an answer repeats.
struct AnswerHead {
  CompletionKind kind = CompletionKind::chat;
  std::string id;
  std::string model;
  std::int64_t created = 0;  // seconds since 1970
};

// "chatcmpl-" or "cmpl-" and 24 random hexadecimal digits.
AnswerHead new_answer_head(CompletionKind kind, const std::string& model);

// "stop" or "length".
std::string_view openai_finish_reason(engine::FinishReason reason);
Json usage_json(const engine::Usage& usage);

// Log probabilities of `tokens` in the form of the kind. `text_offset`: bytes of text before them, kept up by
// the call (text completions only).
Json logprobs_json(CompletionKind kind, const text::Tokenizer& tokenizer,
                   std::span<const engine::SampledToken> tokens, std::int64_t& text_offset);

// One choice of a whole answer. `logprobs`: null when not asked for.
Json choice_json(CompletionKind kind, std::int64_t index, const std::string& text, Json logprobs,
                 engine::FinishReason reason);
Json answer_json(const AnswerHead& head, Json choices, const engine::Usage& usage);

// One choice of a chunk: new text and no reason, or a reason and no text. `first`: names the role too.
Json chunk_choice_json(CompletionKind kind, std::int64_t index, const std::string& text, Json logprobs,
                       bool first, const engine::FinishReason* reason);
// `usage`: null in all chunks but the last when asked for, left out otherwise.
Json chunk_json(const AnswerHead& head, Json choices, const Json* usage);

// "data: ...\n\n" (server-sent events, HTML Living Standard 9.2).
std::string server_sent_event(const Json& data);
HttpResponse event_stream_head();
inline constexpr std::string_view kStreamEnd = "data: [DONE]\n\n";

// JSON text; bytes that are no UTF-8 become U+FFFD.
std::string to_text(const Json& value);

}  // namespace tessera::serve
