#include "serve/plain_chat.h"

#include <chrono>
#include <random>

#include "serve/chat_prompt.h"
#include "text/chat_prompt.h"

namespace tessera::serve {
namespace {

constexpr std::size_t kLongestUserName = 256;
// A small model may never come to an end, and this form has no field to say when to stop.
constexpr std::int64_t kMostAnswerTokens = 1024;

Json messages_json(const std::vector<engine::Message>& messages) {
  Json list = Json::array();
  for (const engine::Message& message : messages) {
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  return list;
}

}  // namespace

// One question and its answer in the making; events come from the backend's thread, one at a time.
struct PlainChat::Turn {
  std::shared_ptr<PlainChat> chat;
  std::shared_ptr<Exchange> exchange;
  UserName name;
  std::vector<engine::Message> messages;
  std::string answer = {};
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  double first_token_seconds = -1;

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  void take(const GenerationEvent& event) {
    for (const engine::GeneratedPiece& piece : event.pieces) {
      if (first_token_seconds < 0) first_token_seconds = seconds();
      exchange->begin_stream({.content_type = "text/plain; charset=utf-8"});
      exchange->write(piece.text);
      answer += piece.text;
    }
    if (!event.error.empty()) return fail(event.error);
    if (event.result != nullptr) finish(*event.result);
  }

  // What the user has seen stays in the conversation, also when it was broken off.
  void keep() {
    if (answer.empty()) return chat->end_turn(name, nullptr);
    messages.push_back({"assistant", answer});
    chat->end_turn(name, &messages);
  }

  void finish(const engine::GenerationResult& result) {
    keep();
    chat->metrics_->count_generation(first_token_seconds < 0 ? seconds() : first_token_seconds, seconds(),
                                     result.usage.prompt_tokens, result.usage.cached_tokens,
                                     result.usage.completion_tokens);
    exchange->begin_stream({.content_type = "text/plain; charset=utf-8"});
    if (result.finish_reason == engine::FinishReason::context_full) {
      exchange->write("\n[the context is full: {\"restart\": true} begins a new conversation]\n");
    }
    if (result.finish_reason == engine::FinishReason::length) {
      exchange->write(fmt::format("\n[stopped after {} tokens]\n", result.usage.completion_tokens));
    }
    exchange->end();
  }

  void fail(const std::string& message) {
    keep();
    exchange->respond(error_response({500, message, "", "generation_failed"}));
    exchange->write("\n[the answer broke off: " + message + "]\n");
    exchange->end();
  }
};

PlainChat::PlainChat(const ServedModel& served, Metrics& metrics, std::size_t most_users)
    : served_(served), metrics_(&metrics), most_users_(most_users) {}

void PlainChat::answer(const std::shared_ptr<Exchange>& exchange) {
  const Json body = parse_body(exchange->request().body);
  JsonFields fields(body, "");
  fields.require("user_id");
  fields.require("user_input");
  const UserName name{exchange->request().client, *fields.string("user_id", kLongestUserName)};
  const std::string input = *fields.string("user_input");
  const bool restart = fields.boolean("restart").value_or(false);
  fields.finish();
  if (name.second.empty()) refuse_field("user_id", "expected a name, found an empty text");
  if (input.empty()) refuse_field("user_input", "expected a text, found an empty one");

  auto turn =
      std::make_shared<Turn>(Turn{shared_from_this(), exchange, name, begin_turn(name, input, restart)});
  try {
    GenerationJob job{.client = name.first};
    job.request.prompt =
        text::encode_prompt(*served_.loaded().tokenizer,
                            render_chat(served_.loaded(), messages_json(turn->messages), Json::object()));
    check_context(job.request.prompt.size(), served_, "user_input");
    job.request.max_new_tokens = kMostAnswerTokens;
    job.request.sampling = served_.sampling;
    job.request.sampling.seed = std::random_device()();
    const JobId id =
        served_.backend->submit(std::move(job), [turn](const GenerationEvent& event) { turn->take(event); });
    exchange->on_abandoned([backend = served_.backend, id] { backend->cancel(id); });
  } catch (...) {
    end_turn(name, nullptr);
    throw;
  }
}

std::vector<engine::Message> PlainChat::begin_turn(const UserName& name, const std::string& input,
                                                   bool restart) {
  const std::lock_guard lock(mutex_);
  auto found = users_.find(name);
  if (found == users_.end()) {
    forget_oldest();
    found = users_.emplace(name, User{}).first;
    found->second.use = uses_.insert(uses_.end(), name);
  }
  User& user = found->second;
  if (user.answering) {
    throw ApiError(409, "user_id: the last answer to this user is still being made", "user_id", "busy");
  }
  uses_.splice(uses_.end(), uses_, user.use);
  user.answering = true;
  if (restart) user.messages.clear();
  std::vector<engine::Message> messages = user.messages;
  messages.push_back({"user", input});
  return messages;
}

// `messages`: the conversation as it is now; nullptr: as it was.
void PlainChat::end_turn(const UserName& name, const std::vector<engine::Message>* messages) {
  const std::lock_guard lock(mutex_);
  const auto found = users_.find(name);
  if (found == users_.end()) return;
  found->second.answering = false;
  if (messages != nullptr) found->second.messages = *messages;
}

void PlainChat::forget_oldest() {
  for (auto oldest = uses_.begin(); oldest != uses_.end() && users_.size() >= most_users_; ++oldest) {
    const auto found = users_.find(*oldest);
    if (found->second.answering) continue;
    users_.erase(found);
    uses_.erase(oldest);
    return;
  }
}

}  // namespace tessera::serve
