#include "serve/completion_answer.h"

#include <utility>

#include "serve/api_error.h"

namespace tessera::serve {

namespace {

std::size_t count_of(const std::vector<GenerationJob>& jobs) {
  std::size_t answers = 0;
  for (const GenerationJob& job : jobs) answers += static_cast<std::size_t>(job.n);
  return answers;
}

}  // namespace

CompletionAnswer::CompletionAnswer(CompletionPlan plan, std::shared_ptr<Exchange> exchange, Backend& backend,
                                   Metrics& metrics)
    : plan_(std::move(plan)),
      exchange_(std::move(exchange)),
      backend_(&backend),
      clock_(metrics, count_of(plan_.jobs)),
      choices_(count_of(plan_.jobs)),
      open_(choices_.size()) {
  if (!plan_.tools) return;
  for (Choice& choice : choices_) choice.parser.emplace(*plan_.tools);
}

void CompletionAnswer::start() {
  try {
    for (std::size_t job = 0; job < plan_.jobs.size(); ++job) {
      const JobId id = backend_->submit(
          plan_.jobs[job],
          [self = shared_from_this(), job](const GenerationEvent& e) { self->take(job, e); });
      const std::lock_guard lock(mutex_);
      ids_.push_back(id);
    }
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    cancel_jobs();
    throw;
  }
  {
    const std::lock_guard lock(mutex_);
    started_ = true;
    if (over_) return cancel_jobs();  // one has failed already
    if (!early_.empty()) emit(std::exchange(early_, {}));
    if (open_ == 0) finish();
  }
  exchange_->on_abandoned([self = shared_from_this()] { self->cancel_jobs(); });
  // A comment, which clients skip (HTML Living Standard 9.2.6).
  if (plan_.stream) exchange_->keep_alive(Exchange::kKeepAliveSeconds, event_stream_head(), ": wait\n\n");
}

void CompletionAnswer::cancel_jobs() const {
  for (const JobId id : ids_) backend_->cancel(id);
}

void CompletionAnswer::take(std::size_t job, const GenerationEvent& event) {
  const std::lock_guard lock(mutex_);
  if (over_) return;
  if (!event.error.empty()) return fail(event.error);
  const std::size_t index =
      job * static_cast<std::size_t>(plan_.jobs[job].n) + static_cast<std::size_t>(event.choice);
  if (!event.pieces.empty()) take_pieces(index, event);
  if (event.result != nullptr) take_result(job, event);
}

std::size_t CompletionAnswer::job_of(std::size_t index) const {
  return index / static_cast<std::size_t>(plan_.jobs.front().n);
}

void CompletionAnswer::take_pieces(std::size_t index, const GenerationEvent& event) {
  clock_.text(index);
  Choice& choice = choices_[index];
  const bool wants_logprobs = plan_.jobs[job_of(index)].request.sampling.logprobs >= 0;
  for (const engine::GeneratedPiece& piece : event.pieces) {
    if (wants_logprobs && plan_.stream) {
      choice.untold.insert(choice.untold.end(), piece.tokens.begin(), piece.tokens.end());
    }
    if (!choice.parser) {
      take_delta(index, {.content = piece.text});
      continue;
    }
    for (const AnswerDelta& delta : choice.parser->push(piece.text)) take_delta(index, delta);
  }
}

void CompletionAnswer::take_delta(std::size_t index, const AnswerDelta& delta) {
  Choice& choice = choices_[index];
  std::string new_id;
  if (delta.call < 0) {
    choice.text += delta.content;
  } else {
    if (std::cmp_greater_equal(delta.call, choice.calls.size())) {
      new_id = new_call_id();
      choice.calls.push_back({new_id, delta.name, {}});
    }
    choice.calls.back().arguments += delta.arguments;
  }
  if (plan_.stream) emit_delta(index, delta, new_id);
}

void CompletionAnswer::emit_delta(std::size_t index, const AnswerDelta& delta, const std::string& call_id) {
  Choice& choice = choices_[index];
  const bool first = !std::exchange(choice.begun, true);
  const std::string echo = first && !plan_.echoes.empty() ? plan_.echoes[job_of(index)] : std::string();
  Json said = delta.call < 0 ? text_delta_json(plan_.head.kind, echo + delta.content, first)
                             : call_delta_json(delta, call_id, first);
  emit_chunk(Json::array({chunk_choice_json(plan_.head.kind, static_cast<std::int64_t>(index),
                                            std::move(said), untold_logprobs(choice), nullptr)}));
}

Json CompletionAnswer::untold_logprobs(Choice& choice) {
  if (choice.untold.empty()) return {};
  const auto tokens = std::exchange(choice.untold, {});
  return logprobs_json(plan_.head.kind, *backend_->loaded().tokenizer, tokens, choice.text_offset);
}

void CompletionAnswer::take_result(std::size_t job, const GenerationEvent& event) {
  const engine::GenerationResult& result = *event.result;
  const std::size_t index =
      job * static_cast<std::size_t>(plan_.jobs[job].n) + static_cast<std::size_t>(event.choice);
  Choice& choice = choices_[index];
  choice.reason = result.finish_reason;
  clock_.ended(result);
  // A prompt counts once, however many answers it gets.
  if (event.choice == 0) {
    usage_.prompt_tokens += result.usage.prompt_tokens;
    usage_.cached_tokens += result.usage.cached_tokens;
  }
  usage_.completion_tokens += result.usage.completion_tokens;
  if (result.finish_reason == engine::FinishReason::cancelled) {
    return fail("the answer was cancelled");
  }
  if (choice.parser) {
    for (const AnswerDelta& delta : choice.parser->finish()) take_delta(index, delta);
  }
  if (plan_.stream) {
    if (!choice.begun) take_delta(index, {});  // the role, or an echo
    const Json nothing = plan_.head.kind == CompletionKind::chat ? Json::object() : Json("");
    emit_chunk(Json::array({chunk_choice_json(
        plan_.head.kind, static_cast<std::int64_t>(index), nothing, untold_logprobs(choice),
        openai_finish_reason(result.finish_reason, !choice.calls.empty()))}));
  } else if (plan_.jobs[job].request.sampling.logprobs >= 0) {
    choice.text_offset = 0;
    choice.logprobs =
        logprobs_json(plan_.head.kind, *backend_->loaded().tokenizer, result.tokens, choice.text_offset);
  }
  if (--open_ == 0 && started_) finish();
}

void CompletionAnswer::emit_chunk(Json choices, const Json* usage) {
  const Json null;
  emit(server_sent_event(
      chunk_json(plan_.head, std::move(choices), plan_.include_usage && usage == nullptr ? &null : usage)));
}

void CompletionAnswer::emit(const std::string& bytes) {
  if (!started_) {
    early_ += bytes;
    return;
  }
  // Begun with the first bytes, so that until then an error still has a status of its own.
  exchange_->begin_stream(event_stream_head());
  exchange_->write(bytes);
}

void CompletionAnswer::fail(const std::string& message) {
  over_ = true;
  cancel_jobs();
  const ApiError error(500, message, "", "generation_failed");
  exchange_->respond(error_response(error));  // ignored when a stream has begun
  exchange_->write("data: " + error_body(error) + "\n\n");
  exchange_->end();
}

void CompletionAnswer::finish() {
  over_ = true;
  clock_.all_made(usage_);
  if (plan_.stream) {
    if (plan_.include_usage) {
      const Json usage = usage_json(usage_);
      emit_chunk(Json::array(), &usage);
    }
    emit(std::string(kStreamEnd));
    exchange_->end();
    return;
  }
  Json choices = Json::array();
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const std::string text =
        plan_.echoes.empty() ? choices_[i].text : plan_.echoes[job_of(i)] + choices_[i].text;
    choices.push_back(choice_json(plan_.head.kind, static_cast<std::int64_t>(i), text, choices_[i].calls,
                                  std::move(choices_[i].logprobs), choices_[i].reason));
  }
  exchange_->respond({.body = to_text(answer_json(plan_.head, std::move(choices), usage_))});
}

}  // namespace tessera::serve
