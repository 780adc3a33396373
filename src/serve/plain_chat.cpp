#include "serve/plain_chat.h"

#include <utility>

#include "serve/session_api.h"

namespace tessera::serve {
namespace {

constexpr std::size_t kLongestUserName = 256;
// A small model may never come to an end, and this form has no field to say when to stop.
constexpr std::int64_t kMostAnswerTokens = 1024;

struct PlainQuestion {
  std::string user;
  std::string input;
  bool restart = false;
};

PlainQuestion read_question(const Json& body) {
  JsonFields fields(body, "");
  fields.require("user_id");
  fields.require("user_input");
  PlainQuestion question{.user = *fields.string("user_id", kLongestUserName),
                         .input = *fields.string("user_input"),
                         .restart = fields.boolean("restart").value_or(false)};
  fields.finish();
  if (question.user.empty()) refuse_field("user_id", "expected a name, found an empty text");
  if (question.input.empty()) refuse_field("user_input", "expected a text, found an empty one");
  return question;
}

store::Session session_of(store::SessionStore& store, store::UserId owner, const std::string& user) {
  const std::string title = "chat: " + user;
  if (const auto known = store.find_title(owner, title)) return store.session(*known);
  return store.session(store.create(owner, {.title = title}));
}

// Where the conversation stands. A message that was never answered gives way to the next one.
std::optional<store::MessageId> place_of(store::SessionStore& store, const store::Session& session) {
  if (!session.leaf) return std::nullopt;
  const store::Message last = store.message(session.id, *session.leaf);
  return last.role == "user" ? last.parent : session.leaf;
}

}  // namespace

void PlainChat::answer(const std::shared_ptr<Exchange>& exchange) {
  PlainQuestion question = read_question(parse_body(exchange->request().body));
  replies_->workers().submit(
      [replies = replies_, exchange, question = std::move(question)](store::SessionStore& store) {
        if (exchange->abandoned()) return;
        answer_safely(*exchange, [&] {
          const store::UserId owner = store.user(session_owner(exchange->request().client));
          const store::Session session = session_of(store, owner, question.user);
          ReplyRequest request{.content = question.input, .most_tokens = kMostAnswerTokens};
          if (!question.restart) request.parent = place_of(store, session);
          request.content_field = "user_input";
          replies->begin(store, session, request, exchange, std::make_unique<TextOutput>(exchange));
        });
      });
}

}  // namespace tessera::serve
