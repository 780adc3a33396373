#include "serve/reply_output.h"

#include "serve/openai_format.h"
#include "serve/session_format.h"
#include "serve/token_record.h"

namespace tessera::serve {
namespace {

HttpResponse text_stream() { return {.content_type = "text/plain; charset=utf-8"}; }

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

// One event a token.
void EventOutput::piece(const engine::GeneratedPiece& piece) {
  const std::vector<ShownToken> tokens = shown_tokens(piece, *loaded_->tokenizer);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    Json data = token_json(tokens[i]);
    if (logprobs_ < 0) data = {{"text", tokens[i].text}};
    data["id"] = piece.tokens[i].token;
    emit("token", data);
  }
  if (tokens.empty()) emit("token", {{"text", piece.text}});
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
