// What a client sees of an answer that is stored: server-sent events for the page, plain text for shells. For
// .cpp files of this room only.
#pragma once
#include <memory>
#include <string>

#include "engine/model_loader.h"
#include "engine/request.h"
#include "serve/exchange.h"
#include "serve/json_fields.h"
#include "store/session_types.h"

namespace tessera::serve {

struct FinishedReply {
  store::Message message = {};  // as it is stored
  engine::FinishReason finish_reason{};
  engine::Usage usage = {};
  engine::Timings timings = {};
  double first_token_seconds = 0;  // since the request
  std::int64_t context_size = 0;
};

// Called by one thread at a time; what comes after done() or error() is ignored.
class ReplyOutput {
 public:
  virtual ~ReplyOutput() = default;
  // The user's message is stored.
  virtual void message(const store::Message& message) = 0;
  virtual void progress(const engine::PromptProgress& progress) = 0;
  virtual void piece(const engine::GeneratedPiece& piece) = 0;
  virtual void done(const FinishedReply& reply) = 0;
  // Has a status of its own when nothing was sent before.
  virtual void error(const ApiError& error) = 0;
};

// "event: NAME\ndata: {...}\n\n": message, progress, token, done, error (docs/sessions.md).
class EventOutput final : public ReplyOutput {
 public:
  // `logprobs`: alternatives told for each token; -1: not even its own probability.
  EventOutput(std::shared_ptr<Exchange> exchange, const engine::LoadedModel& loaded, std::int64_t logprobs);

  void message(const store::Message& message) override;
  void progress(const engine::PromptProgress& progress) override;
  void piece(const engine::GeneratedPiece& piece) override;
  void done(const FinishedReply& reply) override;
  void error(const ApiError& error) override;

 private:
  void emit(const char* name, const Json& data);

  std::shared_ptr<Exchange> exchange_;
  const engine::LoadedModel* loaded_;
  std::int64_t logprobs_;
};

// The answer's text in HTTP chunks, and a line in brackets when it ends before its end.
class TextOutput final : public ReplyOutput {
 public:
  explicit TextOutput(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

  void message(const store::Message& /*message*/) override {}
  void progress(const engine::PromptProgress& /*progress*/) override {}
  void piece(const engine::GeneratedPiece& piece) override;
  void done(const FinishedReply& reply) override;
  void error(const ApiError& error) override;

 private:
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace tessera::serve
