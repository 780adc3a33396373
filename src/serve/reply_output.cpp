#include "serve/reply_output.h"

#include "serve/openai_format.h"
#include "serve/session_format.h"
#include "store/text_check.h"
#include "text/unicode.h"

namespace tessera::serve {
namespace {

HttpResponse text_stream() { return {.content_type = "text/plain; charset=utf-8"}; }

std::string shown_token(const text::Tokenizer& tokenizer, TokenId token) {
  return text::replace_ill_formed(tokenizer.token_bytes(token));
}

}  // namespace

EventOutput::EventOutput(std::shared_ptr<Exchange> exchange, const engine::LoadedModel& loaded,
                         std::int64_t logprobs)
    : exchange_(std::move(exchange)), loaded_(&loaded), logprobs_(logprobs) {
  exchange_->keep_alive(Exchange::kKeepAliveSeconds, event_stream_head(), ": wait\n\n");
}

void EventOutput::emit(const char* name, const Json& data) {
  exchange_->begin_stream(event_stream_head());
  exchange_->write(fmt::format("event: {}\ndata: {}\n\n", name, to_text(data)));
}

void EventOutput::message(const store::Message& message) {
  emit("message", {{"message", message_json(message)}});
}

void EventOutput::progress(const engine::PromptProgress& progress) {
  emit("progress", {{"prompt_tokens", progress.prompt_tokens},
                    {"cached_tokens", progress.cached_tokens},
                    {"done_tokens", progress.done_tokens}});
}

// One event a token: text that several tokens make together belongs to the last of them.
void EventOutput::piece(const engine::GeneratedPiece& piece) {
  std::string_view rest = piece.text;
  std::string bytes;
  for (std::size_t i = 0; i < piece.tokens.size(); ++i) {
    const engine::SampledToken& token = piece.tokens[i];
    bytes += loaded_->tokenizer->token_bytes(token.token);
    std::string text;
    if (i + 1 == piece.tokens.size()) {
      text = rest;
    } else if (store::valid_utf8_prefix(bytes) == bytes.size() && rest.starts_with(bytes)) {
      text = std::exchange(bytes, {});
      rest.remove_prefix(text.size());
    }
    emit_token(text, &token);
  }
  if (piece.tokens.empty()) emit_token(piece.text, nullptr);
}

void EventOutput::emit_token(const std::string& text, const engine::SampledToken* token) {
  Json data = {{"text", text}};
  if (token != nullptr) data["id"] = token->token;
  if (token != nullptr && logprobs_ >= 0) {
    data["logprob"] = token->logprob;
    Json top = Json::array();
    for (const engine::TokenLogprob& other : token->top) {
      top.push_back({{"text", shown_token(*loaded_->tokenizer, other.token)}, {"logprob", other.logprob}});
    }
    data["top"] = std::move(top);
  }
  emit("token", data);
}

void EventOutput::done(const FinishedReply& reply) {
  const engine::Usage& usage = reply.usage;
  const engine::Timings& timings = reply.timings;
  emit("done", {{"message", message_json(reply.message)},
                {"usage",
                 {{"prompt_tokens", usage.prompt_tokens},
                  {"cached_tokens", usage.cached_tokens},
                  {"completion_tokens", usage.completion_tokens}}},
                {"timings",
                 {{"queue_seconds", timings.queue_seconds},
                  {"first_token_seconds", reply.first_token_seconds},
                  {"prefill_seconds", timings.prefill_seconds},
                  {"decode_seconds", timings.decode_seconds},
                  {"tokens_per_second", timings.decode_per_second()}}},
                {"context",
                 {{"used", usage.prompt_tokens + usage.completion_tokens}, {"size", reply.context_size}}}});
  exchange_->end();
}

void EventOutput::error(const ApiError& error) {
  exchange_->respond(error_response(error));  // ignored when the stream has begun
  exchange_->write(fmt::format("event: error\ndata: {}\n\n", error_body(error)));
  exchange_->end();
}

void TextOutput::piece(const engine::GeneratedPiece& piece) {
  exchange_->begin_stream(text_stream());
  exchange_->write(piece.text);
}

void TextOutput::done(const FinishedReply& reply) {
  exchange_->begin_stream(text_stream());
  if (reply.finish_reason == engine::FinishReason::context_full) {
    exchange_->write("\n[the context is full: {\"restart\": true} begins a new conversation]\n");
  }
  if (reply.finish_reason == engine::FinishReason::length) {
    exchange_->write(fmt::format("\n[stopped after {} tokens]\n", reply.usage.completion_tokens));
  }
  exchange_->end();
}

void TextOutput::error(const ApiError& error) {
  exchange_->respond(error_response(error));  // ignored when the text has begun
  exchange_->write(fmt::format("\n[the answer broke off: {}]\n", error.what()));
  exchange_->end();
}

}  // namespace tessera::serve
