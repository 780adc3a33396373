// Answers in stored conversations, on the toy model of toy_service.h and on a backend that does what it is
// told: the events and their order, what is stored when, what the cache saves, and how answers are broken
// off.
#include "serve/session_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/test_paths.h"
#include "toy_service.h"

namespace tessera::serve {
namespace {

using testing::answer_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::post;

using Events = std::vector<std::pair<std::string, Json>>;

Events events_of(const std::string& bytes) {
  Events events;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = bytes.find("\n\n", at);
    const std::string block = bytes.substr(at, end - at);
    at = end + 2;
    if (!block.starts_with("event: ")) continue;
    const std::size_t line = block.find("\ndata: ");
    events.emplace_back(block.substr(7, line - 7), Json::parse(block.substr(line + 7)));
  }
  return events;
}

std::string text_of(const Events& events) {
  std::string text;
  for (const auto& [name, data] : events) {
    if (name == "token") text += data["text"].get<std::string>();
  }
  return text;
}

// A service and the calls of a page.
class Page {
 public:
  Page(Backend& backend, const std::string& path = {})
      : service_(testing::served_by(backend), {.sessions = {.path = path}}) {}

  Service& service() { return service_; }
  Json ask(const std::string& method, const std::string& path, const Json& body = nullptr, int status = 200) {
    HttpRequest request = post(path, body.is_null() ? "" : body.dump());
    request.method = method;
    const auto answer = answer_of(service_, std::move(request));
    EXPECT_TRUE(answer.ended);
    EXPECT_EQ(answer.head->status, status) << method << path << body << answer.head->body;
    return answer.head->body.empty() ? Json() : Json::parse(answer.head->body);
  }
  std::string new_session(const Json& parameters = {{"max_tokens", 3}}) {
    return "/api/sessions/" + ask("POST", "/api/sessions", {{"parameters", parameters}}, 201)["id"].dump();
  }
  Events reply(const std::string& session, const Json& body) {
    const auto answer = answer_of(service_, post(session + "/reply", body.dump()));
    EXPECT_TRUE(answer.ended);
    EXPECT_EQ(answer.head->status, 200) << body << answer.head->body;
    EXPECT_EQ(answer.head->content_type, "text/event-stream; charset=utf-8");
    return events_of(answer.bytes);
  }
  Json leaf(const std::string& session) { return ask("GET", session)["session"]["leaf"]; }
  Json messages(const std::string& session) { return ask("GET", session)["messages"]; }
  std::string say(const std::string& user, const std::string& input, bool restart = false) {
    const Json body = {{"user_id", user}, {"user_input", input}, {"restart", restart}};
    const auto answer = answer_of(service_, post("/chat", body.dump()));
    EXPECT_EQ(answer.head->status, 200) << answer.head->body;
    return answer.bytes;
  }

 private:
  Service service_;
};

class SessionReplyTest : public ::testing::Test {
 protected:
  SessionReplyTest() : backend_(testing::toy_backend()), page_(*backend_) {}
  ~SessionReplyTest() override { backend_->stop(); }
  std::unique_ptr<EngineBackend> backend_;
  Page page_;
};

TEST_F(SessionReplyTest, AnAnswerHasTheEventsOfTheContract) {
  const std::string session = page_.new_session();
  const Events events = page_.reply(session, {{"content", "Hello"}});
  std::vector<std::string> names;
  for (const auto& [name, data] : events) {
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  EXPECT_THAT(names, ElementsAre("message", "progress", "token", "done"));
  const Json& question = events.front().second["message"];
  EXPECT_EQ(question["role"], "user");
  EXPECT_EQ(question["content"], "Hello");
  for (const auto& [name, data] : events) {
    if (name == "progress") {
      EXPECT_EQ(data["prompt_tokens"], 7);  // "uHelloa"
    }
    if (name == "token") {
      EXPECT_EQ(data, Json({{"text", "h"}, {"id", 'h'}}));
    }
  }
  const Json& done = events.back().second;
  EXPECT_EQ(done["usage"], Json({{"prompt_tokens", 7}, {"cached_tokens", 0}, {"completion_tokens", 3}}));
  EXPECT_EQ(done["context"], Json({{"used", 10}, {"size", 256}}));
  EXPECT_GT(done["timings"]["first_token_seconds"].get<double>(), 0);
  const Json& answer = done["message"];
  EXPECT_EQ(answer["content"], "hhh");
  EXPECT_EQ(answer["parent"], question["id"]);
  EXPECT_EQ(answer["finish_reason"], "length");
  EXPECT_EQ(answer["model"], "toy");
  EXPECT_EQ(answer["completion_tokens"], 3);
  const Json whole = page_.ask("GET", session);
  EXPECT_EQ(whole["messages"], Json::array({question, answer}));
  EXPECT_EQ(whole["session"]["leaf"], answer["id"]);
  EXPECT_EQ(whole["session"]["title"], "Hello");
  EXPECT_EQ(whole["session"]["model"], "toy");
}

TEST_F(SessionReplyTest, TokensThatWereToldAreStoredWithTheAnswer) {
  const std::string session = page_.new_session();
  const Events events = page_.reply(session, {{"content", "Hello"}, {"logprobs", 2}});
  Json told = Json::array();
  for (const auto& [name, data] : events) {
    if (name != "token") continue;
    told.push_back(data);
    told.back().erase("id");
  }
  ASSERT_EQ(told.size(), 3U);
  const Json answer = events.back().second["message"];
  EXPECT_EQ(answer["has_tokens"], true);
  const auto tokens_of = [&](const Json& message) {
    return page_.ask("GET", session + "/messages/" + message["id"].dump() + "/tokens")["tokens"];
  };
  const Json stored = tokens_of(answer);
  ASSERT_EQ(stored.size(), told.size());
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(stored[i]["text"], told[i]["text"]);
    EXPECT_NEAR(stored[i]["logprob"].get<double>(), told[i]["logprob"].get<double>(), 5.01e-4);
    ASSERT_EQ(stored[i]["top"].size(), 2U);
    for (std::size_t k = 0; k < 2; ++k) EXPECT_EQ(stored[i]["top"][k]["text"], told[i]["top"][k]["text"]);
  }
  const Json question = events.front().second["message"];
  EXPECT_EQ(question["has_tokens"], false);
  EXPECT_EQ(tokens_of(question), Json::array());
  const Json other = page_.reply(session, {{"parent", question["id"]}}).back().second["message"];
  EXPECT_EQ(other["has_tokens"], false);  // nobody wanted them
  page_.ask("GET", session + "/messages/999/tokens", nullptr, 404);
  page_.ask("DELETE", session + "/messages/" + question["id"].dump());
  page_.ask("GET", session + "/messages/" + answer["id"].dump() + "/tokens", nullptr, 404);
}

TEST_F(SessionReplyTest, AskedAgainTheAnswerIsASibling) {
  const std::string session = page_.new_session();
  const Events first = page_.reply(session, {{"content", "Hello"}});
  const Json question = first.front().second["message"];
  const Events again = page_.reply(session, {{"parent", question["id"]}});
  EXPECT_NE(again.front().first, "message");
  EXPECT_EQ(again.back().second["message"]["parent"], question["id"]);
  EXPECT_NE(again.back().second["message"]["id"], first.back().second["message"]["id"]);
  EXPECT_EQ(page_.messages(session).size(), 3U);
}

TEST_F(SessionReplyTest, AfterThreeTurnsTakenBackOnlyTheNewMessageIsComputed) {
  const std::string session = page_.new_session();
  Json after_first;
  Json last;
  for (int turn = 0; turn < 4; ++turn) {
    last = page_.reply(session, {{"parent", last}, {"content", "Hello"}}).back().second["message"]["id"];
    if (turn == 0) after_first = last;
  }
  EXPECT_EQ(page_.ask("PATCH", session + "/leaf", {{"message", after_first}})["leaf"], after_first);
  const Json usage =
      page_.reply(session, {{"parent", after_first}, {"content", "New"}}).back().second["usage"];
  // "uHelloahhhu" is as it was; "New" and the "a" that begins the answer are not.
  EXPECT_EQ(usage["prompt_tokens"], 15);
  EXPECT_EQ(usage["cached_tokens"], 11);
}

TEST_F(SessionReplyTest, ProbabilitiesAreToldOnlyWhenAskedFor) {
  const std::string session = page_.new_session();
  for (const auto& [name, data] : page_.reply(session, {{"content", "x"}, {"logprobs", 2}})) {
    if (name != "token") continue;
    EXPECT_NEAR(data["logprob"].get<double>(), 0, 1e-6);
    ASSERT_EQ(data["top"].size(), 2U);
    EXPECT_EQ(data["top"][0]["text"], "h");
  }
}

TEST_F(SessionReplyTest, AStoryGoesOnWithoutATemplate) {
  const std::string session = page_.new_session({{"mode", "story"}, {"max_tokens", 4}});
  const Events first = page_.reply(session, {{"content", "Once"}});
  EXPECT_EQ(first.back().second["usage"]["prompt_tokens"], 5);  // with BOS
  const Json end = first.back().second["message"]["id"];
  const Events next = page_.reply(session, {{"parent", end}});
  EXPECT_EQ(next.back().second["usage"]["prompt_tokens"], 9);  // "Oncehhhh"
  EXPECT_EQ(next.back().second["message"]["content"], "hhhh");
  EXPECT_EQ(next.back().second["message"]["parent"], end);
  const Events blank = page_.reply(page_.new_session({{"mode", "story"}, {"max_tokens", 2}}), Json::object());
  EXPECT_EQ(text_of(blank), "hh");
}

TEST_F(SessionReplyTest, AnAnswerThatGoesOnIsStoredWhole) {
  const std::string session = page_.new_session();
  const Events first = page_.reply(session, {{"content", "Hello"}});
  const Json answer = first.back().second["message"];
  const Events more = page_.reply(session, {{"parent", answer["id"]}, {"continue", true}});
  EXPECT_EQ(text_of(more), "hhh");
  EXPECT_EQ(more.back().second["usage"]["prompt_tokens"], 10);  // "uHelloahhh"
  EXPECT_EQ(more.back().second["message"]["content"], "hhhhhh");
  EXPECT_EQ(more.back().second["message"]["parent"], answer["parent"]);
}

TEST_F(SessionReplyTest, TheSystemMessageIsThatOfTheParameters) {
  const std::string session = page_.new_session({{"max_tokens", 1}, {"system", "Be"}});
  EXPECT_EQ(page_.reply(session, {{"content", "x"}}).back().second["usage"]["prompt_tokens"], 6);  // "sBeuxa"
  const Json own = page_.ask("POST", session + "/messages", {{"role", "system"}, {"content", "Long"}}, 201);
  const Json asked = {{"parent", own["id"]}, {"content", "x"}};
  EXPECT_EQ(page_.reply(session, asked).back().second["usage"]["prompt_tokens"], 6);
  page_.ask("PATCH", session, {{"parameters", {{"max_tokens", 1}}}});
  EXPECT_EQ(page_.reply(session, asked).back().second["usage"]["prompt_tokens"], 8);  // "sLonguxa"
}

TEST_F(SessionReplyTest, WrongFieldsAreNamedAndNothingIsStored) {
  const std::string session = page_.new_session();
  const Json answer = page_.reply(session, {{"content", "Hello"}}).back().second["message"];
  struct Case {
    Json body;
    const char* param;
  };
  for (const Case& c : {
           Case{{{"parent", 77777}, {"content", "x"}}, "parent"},
           Case{{{"parent", -1}, {"content", "x"}}, "parent"},
           Case{{{"parent", "1"}, {"content", "x"}}, "parent"},
           Case{Json::object(), "parent"},
           Case{{{"parent", answer["id"]}}, "parent"},
           Case{{{"parent", answer["parent"]}, {"continue", true}}, "parent"},
           Case{{{"parent", answer["id"]}, {"content", "x"}, {"continue", true}}, "continue"},
           Case{{{"content", ""}}, "content"},
           Case{{{"content", 3}}, "content"},
           Case{{{"content", std::string(300, 'x')}}, "content"},
           Case{{{"content", "x"}, {"logprobs", 21}}, "logprobs"},
           Case{{{"content", "x"}, {"logprobs", -1}}, "logprobs"},
           Case{{{"content", "x"}, {"parameters", {{"temperature", 7}}}}, "parameters.temperature"},
           Case{{{"content", "x"}, {"parameters", {{"top_k", "1"}}}}, "parameters.top_k"},
           Case{{{"content", "x"}, {"contents", "y"}}, "contents"},
       }) {
    const Json error = page_.ask("POST", session + "/reply", c.body, 400)["error"];
    EXPECT_EQ(error["param"], c.param) << c.body;
  }
  EXPECT_EQ(page_.messages(session).size(), 2U);
  page_.ask("POST", "/api/sessions/999/reply", {{"content", "x"}}, 404);
}

TEST_F(SessionReplyTest, TheSameSeedGivesTheSameTextAndTheNextOneAskedAgain) {
  const std::string session = page_.new_session({{"max_tokens", 1}, {"seed", 5}});
  testing::FakeBackend fake;
  Page page(fake);
  const std::string other = page.new_session({{"seed", 5}});
  const auto seed_of = [&](const Json& body) {
    std::thread asked([&] { page.reply(other, body); });
    const std::size_t index = fake.job_count();
    while (fake.job_count() == index) std::this_thread::yield();
    engine::GenerationResult result;
    result.text = "x";
    fake.jobs[index].sink({.pieces = {{"x", {}}}, .result = &result});
    asked.join();
    return fake.jobs[index].job.request.sampling.seed;
  };
  EXPECT_EQ(seed_of({{"content", "Hello"}}), 5U);
  const Json question = page.messages(other)[0]["id"];
  EXPECT_EQ(seed_of({{"parent", question}}), 6U);
  EXPECT_EQ(seed_of({{"parent", question}}), 7U);
  EXPECT_EQ(seed_of({{"parent", question}, {"parameters", {{"seed", 5}}}}), 5U);
}

// A backend whose answers the test makes.
class HeldReplyTest : public ::testing::Test {
 protected:
  HeldReplyTest() : page_(fake_), session_(page_.new_session()) {}

  // Until the backend has the job. A session is free a moment after its last answer can be read.
  void begin(const Json& body) {
    const std::size_t before = fake_.job_count();
    exchange_ = nullptr;
    wait_for([&] {
      if (exchange_ == nullptr || (events().empty() && status_ == 409)) {
        exchange_ = std::make_shared<Exchange>(post(session_ + "/reply", body.dump()));
        bytes_.clear();
        status_ = 0;
        page_.service().handle(exchange_);
      }
      return fake_.job_count() > before;
    });
    EXPECT_EQ(fake_.job_count(), before + 1);
  }
  // Those of the last begin(), so far.
  Events events() {
    const Exchange::Output output = exchange_->take();
    if (output.head) status_ = output.head->status;
    bytes_ += output.bytes;
    return events_of(bytes_);
  }
  static void wait_for(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end);
      std::this_thread::yield();
    }
  }
  void give(const std::string& text) { fake_.jobs.back().sink({.pieces = {{text, {}}}}); }
  void finish(engine::FinishReason reason) {
    engine::GenerationResult result;
    result.finish_reason = reason;
    fake_.jobs.back().sink({.result = &result});
  }
  // The answers that are stored, once there are so many messages.
  Json stored(std::size_t count) {
    Json messages;
    wait_for([&] { return (messages = page_.messages(session_)).size() >= count; });
    EXPECT_EQ(messages.size(), count);
    return messages;
  }

  testing::FakeBackend fake_;
  Page page_;
  std::string session_;
  std::shared_ptr<Exchange> exchange_;
  std::string bytes_;
  int status_ = 0;
};

TEST_F(HeldReplyTest, TheQuestionIsStoredBeforeItIsAnswered) {
  begin({{"content", "Hello"}});
  EXPECT_EQ(stored(1)[0]["content"], "Hello");
  EXPECT_EQ(events().front().first, "message");
  give("h");
  finish(engine::FinishReason::end_of_generation);
  EXPECT_EQ(stored(2)[1]["finish_reason"], "eos");
}

TEST_F(HeldReplyTest, OneAnswerAtATimeInASession) {
  begin({{"content", "Hello"}});
  const Json error = page_.ask("POST", session_ + "/reply", {{"content", "x"}}, 409)["error"];
  EXPECT_EQ(error["code"], "busy");
  stored(1);
  give("h");
  finish(engine::FinishReason::end_of_generation);
  stored(2);
  begin({{"content", "again"}});
  finish(engine::FinishReason::end_of_generation);
  EXPECT_EQ(stored(4)[3]["content"], "");  // a model may say nothing
}

TEST_F(HeldReplyTest, AClientThatGoesAwayCancelsAndWhatThereWasIsStored) {
  begin({{"content", "Hello"}});
  give("Par");
  exchange_->abandon();
  wait_for([&] { return fake_.cancelled(0); });
  finish(engine::FinishReason::cancelled);
  const Json answer = stored(2)[1];
  EXPECT_EQ(answer["content"], "Par");
  EXPECT_EQ(answer["finish_reason"], "cancelled");
  EXPECT_EQ(page_.leaf(session_), answer["id"]);
}

TEST_F(HeldReplyTest, NothingOfABrokenAnswerIsNotStored) {
  begin({{"content", "Hello"}});
  exchange_->abandon();
  finish(engine::FinishReason::cancelled);
  const Json question = stored(1)[0]["id"];
  begin({{"parent", question}});
  give("Par");
  fake_.jobs.back().sink({.error = "the model broke"});
  EXPECT_EQ(stored(2)[1]["finish_reason"], "error");
  wait_for([&] { return events().back().first == "error"; });
  EXPECT_THAT(events().back().second["error"]["message"].get<std::string>(), HasSubstr("the model broke"));
}

TEST_F(HeldReplyTest, ASessionDeletedMeanwhileEndsWithAnError) {
  begin({{"content", "Hello"}});
  give("Par");
  page_.ask("DELETE", session_, nullptr, 204);
  finish(engine::FinishReason::end_of_generation);
  wait_for([&] { return events().back().first == "error"; });
  EXPECT_THAT(events().back().second["error"]["message"].get<std::string>(),
              HasSubstr("could not be stored"));
}

TEST_F(HeldReplyTest, ATokenIsAnEventAndTextBelongsToWhatMadeIt) {
  begin({{"content", "x"}});
  // "é" of two tokens, then two whole ones, all certain at once.
  fake_.jobs.back().sink(
      {.pieces = {
           {"éab!",
            {{.token = 0xc3}, {.token = 0xa9}, {.token = engine::testing::kMerged}, {.token = '!'}}}}});
  std::vector<std::string> texts;
  for (const auto& [name, data] : events()) {
    if (name == "token") texts.push_back(data["text"]);
  }
  EXPECT_THAT(texts, ElementsAre("", "é", "ab", "!"));
  finish(engine::FinishReason::end_of_generation);
}

TEST(PlainChatStore, AConversationSurvivesTheServer) {
  const tessera::testing::TemporaryFolder folder;
  const std::string path = (folder.path() / "sessions.db").string();
  const auto backend = testing::toy_backend();
  std::size_t first = 0;
  {
    Page page(*backend, path);
    first = page.say("ada", "Hello").size();
    EXPECT_EQ(first, testing::kTextEnd - 7U);  // "uHelloa"
  }
  Page page(*backend, path);
  // The script is over after the first answer, so that only dots come; what counts is the prompt.
  const auto body = Json{{"user_id", "ada"}, {"user_input", std::string(200, 'x')}};
  const Json error = page.ask("POST", "/chat", body, 400)["error"];
  EXPECT_EQ(error["param"], "user_input");
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr(fmt::format("{} tokens", 7 + first + 202)));
  const Json list = page.ask("GET", "/api/sessions")["sessions"];
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0]["title"], "chat: ada");
  EXPECT_EQ(page.say("ada", "Hello", true).size(), first);  // anew; what was said stays as a branch
  EXPECT_EQ(page.messages("/api/sessions/" + list[0]["id"].dump()).size(), 4U);
  EXPECT_EQ(page.say("bob", "Hello").size(), first);
  backend->stop();
}

}  // namespace
}  // namespace tessera::serve
