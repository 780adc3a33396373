#include "serve/session_reply.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.h"
#include "serve/answer_clock.h"
#include "serve/session_access.h"
#include "serve/session_api.h"
#include "serve/session_format.h"
#include "serve/session_prompt.h"
#include "serve/token_record.h"
#include "store/session_files.h"
#include "store/text_check.h"
#include "text/unicode.h"

namespace tessera::serve {
namespace {

constexpr std::int64_t kMostTopLogprobs = 20;

ReplyRequest read_reply(const Json& body) {
  JsonFields fields(body, "");
  ReplyRequest request;
  request.parent = read_message_id(fields, "parent");
  request.content = fields.string("content", store::kLongestContent);
  if (const Json* parameters = fields.find("parameters")) {
    check_session_parameters(*parameters);
    request.parameters = *parameters;
  }
  if (request.content && request.content->empty())
    refuse_field("content", "expected a text, found an empty one");
  request.logprobs = fields.integer("logprobs", 0, kMostTopLogprobs).value_or(-1);
  request.continues = fields.boolean("continue").value_or(false);
  fields.finish();
  return request;
}

// What the answer is made from, before anything is stored.
struct ReplyPlan {
  SessionParameters parameters;
  std::vector<store::Message> path;  // that is answered; ends with the user's new message
  GenerationJob job;
};

void check_question(const ReplyRequest& request, const ReplyPlan& plan) {
  if (request.content && request.continues) {
    refuse_field("continue", "expected no content with it: an answer goes on, or a message is answered");
  }
  if (plan.parameters.story || request.content) return;
  const std::string role = plan.path.empty() ? "none" : plan.path.back().role;
  if (request.continues && role != "assistant") {
    refuse_field("parent", "expected an answer to go on with, found a message of role {}", role);
  }
  if (!request.continues && role != "user" && role != "tool") {
    refuse_field("parent", "expected a message to answer, found {}; 'continue' goes on with an answer",
                 role == "none" ? role : "one of role " + role);
  }
}

// An answer asked for again goes another way, and the same the next time.
std::uint64_t seed_of(store::SessionStore& store, store::SessionId session, const ReplyRequest& request,
                      const SessionParameters& parameters) {
  if (!parameters.seed) return std::random_device()();
  const bool own = request.parameters.contains("seed");
  if (own || request.content || !request.parent) return *parameters.seed;
  const std::vector<store::Message> all = store.messages(session);
  return *parameters.seed +
         static_cast<std::uint64_t>(std::ranges::count(all, request.parent, &store::Message::parent));
}

ReplyPlan plan_reply(store::SessionStore& store, const store::Session& session, const ReplyRequest& request,
                     const ServedModel& served, const std::string& client) {
  ReplyPlan plan;
  plan.parameters.sampling = served.sampling;
  lay_over(plan.parameters, Json::parse(session.parameters), true);
  lay_over(plan.parameters, request.parameters, false);
  if (request.parent) plan.path = store.path_to(session.id, *request.parent);
  check_question(request, plan);
  if (request.content) {
    plan.path.emplace_back();
    plan.path.back().role = "user";
    plan.path.back().content = *request.content;
  }
  const engine::LoadedModel& loaded = served.loaded();
  const SessionParameters& parameters = plan.parameters;
  engine::Request& asked = plan.job.request;
  asked.prompt = parameters.story ? story_prompt(loaded, plan.path)
                                  : chat_prompt(loaded, plan.path, parameters, request.continues);
  check_context(asked.prompt.size(), served, request.content ? request.content_field : "parent");
  asked.sampling = parameters.sampling;
  asked.sampling.seed = seed_of(store, session.id, request, parameters);
  asked.sampling.logprobs = request.logprobs;
  asked.max_new_tokens = parameters.max_new_tokens;
  if (request.most_tokens > 0 && (asked.max_new_tokens < 0 || asked.max_new_tokens > request.most_tokens)) {
    asked.max_new_tokens = request.most_tokens;
  }
  if (asked.max_new_tokens > served.backend->context_size()) asked.max_new_tokens = -1;
  asked.stop = parameters.stop;
  plan.job.client = client;
  plan.job.wants_progress = true;
  return plan;
}

// A title and the model's name, for lists. Without them an answer is as good.
void describe_session(store::SessionStore& store, const store::Session& session, const ReplyRequest& request,
                      const std::string& model) {
  try {
    if (request.content && session.title.empty()) {
      store.rename(session.id, store::title_from(*request.content));
    }
    if (session.model != model) store.set_model(session.id, model);
  } catch (const Error& error) {
    log_line(LogLevel::warning, fmt::format("session {}: {}", number(session.id), error.what()));
  }
}

}  // namespace

// A session that is being answered, until the object goes.
class SessionReplies::Claim {
 public:
  Claim(SessionReplies& replies, store::SessionId session) : replies_(&replies), session_(session) {
    const std::lock_guard lock(replies.mutex_);
    if (!replies.answering_.insert(session).second) {
      throw ApiError(409, fmt::format("session {} is being answered already", number(session)), "", "busy");
    }
  }
  ~Claim() {
    const std::lock_guard lock(replies_->mutex_);
    replies_->answering_.erase(session_);
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

 private:
  SessionReplies* replies_;
  store::SessionId session_;
};

// One answer in the making. Its events come from the backend's thread one at a time, and after the last of
// them it belongs to a thread of the store.
class SessionReplies::Reply : public std::enable_shared_from_this<Reply> {
 public:
  // `wants_tokens`: their probabilities are stored.
  Reply(SessionReplies& replies, store::SessionId session, std::unique_ptr<Claim> claim,
        std::unique_ptr<ReplyOutput> output, bool wants_tokens)
      : replies_(&replies),
        session_(session),
        claim_(std::move(claim)),
        output_(std::move(output)),
        wants_tokens_(wants_tokens),
        clock_(*replies.metrics_, 1) {}

  ReplyOutput& output() { return *output_; }
  // Below `parent`, and with `beginning` before what is made now.
  void set_place(std::optional<store::MessageId> parent, std::string beginning) {
    parent_ = parent;
    text_ = std::move(beginning);
    beginning_bytes_ = text_.size();
  }

  void take(const GenerationEvent& event) {
    if (event.progress) output_->progress(*event.progress);
    for (const engine::GeneratedPiece& piece : event.pieces) {
      clock_.text(0);
      text_ += piece.text;
      if (wants_tokens_) record_.add(shown_tokens(piece, *replies_->served_->loaded().tokenizer));
      output_->piece(piece);
    }
    if (!event.error.empty()) return end(engine::GenerationResult(), event.error);
    if (event.result == nullptr) return;
    clock_.ended(*event.result);
    end(*event.result, "");
  }

 private:
  void end(engine::GenerationResult result, std::string problem) {
    result.tokens.clear();  // told already
    replies_->workers_->submit_owed([self = shared_from_this(), result = std::move(result),
                                     problem = std::move(problem)](store::SessionStore& store) {
      self->store_answer(store, result, problem);
    });
  }

  void store_answer(store::SessionStore& store, const engine::GenerationResult& result,
                    const std::string& problem) {
    FinishedReply reply{.finish_reason = result.finish_reason,
                        .usage = result.usage,
                        .timings = result.timings,
                        .first_token_seconds = clock_.first_token_seconds(),
                        .context_size = replies_->served_->backend->context_size()};
    const bool broken_off = !problem.empty() || result.finish_reason == engine::FinishReason::cancelled;
    std::string failure = problem;
    try {
      // Nothing of an answer is no answer; but one that the model ended at once is.
      if (!broken_off || text_.size() > beginning_bytes_) {
        const store::MessageId id =
            store.append(session_, parent_, message(result, problem), record_.bytes());
        reply.message = store.message(session_, id);
      }
    } catch (const std::exception& error) {
      failure = fmt::format("the answer could not be stored: {}", error.what());
    }
    claim_.reset();  // who reads the end may ask again at once
    if (!failure.empty()) return output_->error({500, failure, "", "generation_failed"});
    if (broken_off) return output_->error({503, "the answer was cancelled", "", "cancelled"});
    clock_.all_made(result.usage);
    output_->done(reply);
  }

  store::NewMessage message(const engine::GenerationResult& result, const std::string& problem) const {
    store::NewMessage answer{.role = "assistant",
                             .content = text::replace_ill_formed(text_),
                             .model = replies_->served_->names.front()};
    answer.finish_reason = problem.empty() ? engine::finish_reason_name(result.finish_reason) : "error";
    if (!problem.empty()) return answer;
    answer.prompt_tokens = result.usage.prompt_tokens;
    answer.completion_tokens = result.usage.completion_tokens;
    answer.prefill_seconds = result.timings.prefill_seconds;
    answer.decode_seconds = result.timings.decode_seconds;
    return answer;
  }

  SessionReplies* replies_;
  store::SessionId session_;
  std::unique_ptr<Claim> claim_;
  std::unique_ptr<ReplyOutput> output_;
  std::optional<store::MessageId> parent_;
  std::string text_;
  std::size_t beginning_bytes_ = 0;
  bool wants_tokens_;
  TokenRecord record_;  // of what is made now
  AnswerClock clock_;
};

void SessionReplies::handle(const std::shared_ptr<Exchange>& exchange) {
  ReplyRequest request = read_reply(parse_body(exchange->request().body));
  workers_->submit([this, exchange, request = std::move(request)](store::SessionStore& store) {
    if (exchange->abandoned()) return;
    answer_safely(*exchange, [&] {
      const HttpRequest& asked = exchange->request();
      const SessionCall call{asked, store, store.user(session_owner(asked.client))};
      const store::Session session = call.session();
      if (request.parent && !call.has_message(session.id, *request.parent)) {
        refuse_field("parent", "session {} has no message {}", number(session.id), number(*request.parent));
      }
      begin(store, session, request, exchange,
            std::make_unique<EventOutput>(exchange, served_->loaded(), request.logprobs));
    });
  });
}

void SessionReplies::begin(store::SessionStore& store, const store::Session& session,
                           const ReplyRequest& request, const std::shared_ptr<Exchange>& exchange,
                           std::unique_ptr<ReplyOutput> output) {
  const auto reply = std::make_shared<Reply>(*this, session.id, std::make_unique<Claim>(*this, session.id),
                                             std::move(output), request.logprobs >= 0);
  ReplyPlan plan = plan_reply(store, session, request, *served_, exchange->request().client);
  try {
    if (request.content) {
      const store::MessageId id =
          store.append(session.id, request.parent, {.role = "user", .content = *request.content});
      reply->set_place(id, {});
      reply->output().message(store.message(session.id, id));
    } else if (request.continues && !plan.parameters.story) {
      reply->set_place(plan.path.back().parent, plan.path.back().content);
    } else {
      reply->set_place(request.parent, {});
    }
    describe_session(store, session, request, served_->names.front());
    const JobId id = served_->backend->submit(std::move(plan.job),
                                              [reply](const GenerationEvent& event) { reply->take(event); });
    exchange->on_abandoned([backend = served_->backend, id] { backend->cancel(id); });
  } catch (const ApiError& error) {
    reply->output().error(error);
  } catch (const Error& error) {
    reply->output().error(store_error(error));
  }
}

}  // namespace tessera::serve
