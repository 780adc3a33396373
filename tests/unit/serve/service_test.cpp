// The routes on a toy model: shapes, errors that name the field, keys on every route, streams, disconnects.
#include "serve/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "running_server.h"
#include "serve/json_fields.h"
#include "support/socket_client.h"
#include "toy_service.h"

namespace tessera::serve {
namespace {

using testing::answer_of;
using ::testing::HasSubstr;
using testing::post;

class ServiceTest : public ::testing::Test {
 protected:
  ServiceTest() : backend_(testing::toy_backend()), service_(testing::served_by(*backend_), {}) {}
  ~ServiceTest() override { backend_->stop(); }

  Json ask(const std::string& path, const Json& body, int status = 200) {
    const auto answer = answer_of(service_, post(path, body.dump()));
    EXPECT_TRUE(answer.ended) << path;
    EXPECT_EQ(answer.head->status, status) << path << " " << body.dump() << " -> " << answer.head->body;
    return Json::parse(answer.head->body, nullptr, false);
  }
  std::vector<Json> stream(const std::string& path, Json body) {
    body["stream"] = true;
    const auto answer = answer_of(service_, post(path, body.dump()));
    EXPECT_TRUE(answer.streams) << answer.head->body;
    EXPECT_EQ(answer.head->content_type, "text/event-stream; charset=utf-8");
    EXPECT_TRUE(answer.bytes.ends_with("data: [DONE]\n\n"));
    std::vector<Json> events;
    for (std::size_t at = answer.bytes.find("data: {"); at != std::string::npos;
         at = answer.bytes.find("data: {", at + 1)) {
      events.push_back(Json::parse(answer.bytes.substr(at + 6, answer.bytes.find("\n\n", at) - at - 6)));
    }
    return events;
  }

  std::unique_ptr<EngineBackend> backend_;
  Service service_;
};

const Json kHello = Json::parse(R"({"messages": [{"role": "user", "content": "Hello"}]})");

TEST_F(ServiceTest, AChatCompletionHasOpenAisShape) {
  const Json answer = ask("/v1/chat/completions", kHello);
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_THAT(answer["id"].get<std::string>(), HasSubstr("chatcmpl-"));
  EXPECT_EQ(answer["model"], "toy");
  const Json& choice = answer["choices"][0];
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["message"]["content"],
            std::string(testing::kTextEnd - 7, 'h'));  // the prompt is "uHelloa"
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_TRUE(choice["logprobs"].is_null());
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 7);
  EXPECT_EQ(answer["usage"]["completion_tokens"], testing::kTextEnd - 7 + 1);
  EXPECT_EQ(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  EXPECT_EQ(ask("/v1/chat/completions", kHello)["usage"]["prompt_tokens_details"]["cached_tokens"], 6);
}

TEST_F(ServiceTest, AStreamPutTogetherIsTheWholeAnswer) {
  Json body = kHello;
  body["stream_options"] = {{"include_usage", true}};
  const std::vector<Json> events = stream("/v1/chat/completions", body);
  std::string text;
  EXPECT_EQ(events.front()["choices"][0]["delta"]["role"], "assistant");
  for (const Json& event : events) {
    EXPECT_EQ(event["object"], "chat.completion.chunk");
    EXPECT_EQ(event["id"], events.front()["id"]);
    if (!event["choices"].empty()) text += event["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(text, std::string(testing::kTextEnd - 7, 'h'));
  EXPECT_EQ(events[events.size() - 2]["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(events.back()["choices"].empty());
  EXPECT_EQ(events.back()["usage"]["prompt_tokens"], 7);
  for (const Json& event : stream("/v1/completions", {{"prompt", "x"}}))
    EXPECT_FALSE(event.contains("usage"));
}

TEST_F(ServiceTest, SeveralPromptsAndChoicesKeepTheirOrder) {
  const Json answer = ask("/v1/completions", {{"prompt", {"a", "bcd"}}, {"n", 2}, {"echo", true}});
  ASSERT_EQ(answer["choices"].size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    const std::string prompt = i < 2 ? "a" : "bcd";
    EXPECT_EQ(answer["choices"][i]["index"], i);
    EXPECT_EQ(answer["choices"][i]["text"], prompt + std::string(testing::kTextEnd - 1 - prompt.size(), 'h'));
  }
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 2 + 4);  // each prompt once, with its BOS
  EXPECT_EQ(ask("/v1/completions", {{"prompt", {97, 98}}, {"max_tokens", 3}})["choices"][0]["text"], "hhh");
}

TEST_F(ServiceTest, LimitsStopsBiasesAndLogprobsWork) {
  Json body = kHello;
  body["max_completion_tokens"] = 4;
  body["logprobs"] = true;
  body["top_logprobs"] = 2;
  const Json answer = ask("/v1/chat/completions", body);
  EXPECT_EQ(answer["choices"][0]["message"]["content"], "hhhh");
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
  const Json& logprobs = answer["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(logprobs.size(), 4U);
  EXPECT_EQ(logprobs[0]["token"], "h");
  EXPECT_EQ(logprobs[0]["bytes"], Json::array({104}));
  EXPECT_EQ(logprobs[0]["top_logprobs"].size(), 2U);
  EXPECT_NEAR(logprobs[0]["logprob"].get<double>(), 0, 1e-6);
  EXPECT_EQ(ask("/v1/completions", {{"prompt", "x"}, {"stop", "hhh"}})["choices"][0]["text"], "");
  const Json biased = ask("/v1/completions",
                          {{"prompt", "x"}, {"max_tokens", 2}, {"logit_bias", {{"104", -100}, {"105", 60}}}});
  EXPECT_EQ(biased["choices"][0]["text"], "ii");
}

// A7 of the reliability list.
TEST_F(ServiceTest, EveryNumericFieldOutOfRangeIs400ThatNamesIt) {
  const Json before = ask("/v1/chat/completions", kHello)["choices"];
  const std::vector<std::string> hostile = {"-9223372036854775808",
                                            "-1",
                                            "1e308",
                                            "9007199254740993",
                                            "18446744073709551615",
                                            "NaN",
                                            "Infinity",
                                            "1e999",
                                            "\"1\"",
                                            "[1]",
                                            "{}",
                                            "\"NaN\""};
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    const bool chat = std::string(path) == "/v1/chat/completions";
    std::vector<std::string> names = {"temperature", "top_p", "min_p",      "typical_p", "repetition_penalty",
                                      "top_k",       "seed",  "max_tokens", "n"};
    if (chat) names.insert(names.end(), {"max_completion_tokens", "top_logprobs"});
    if (!chat) names.insert(names.end(), {"logprobs", "best_of"});
    for (const std::string& name : names) {
      for (const std::string& value : hostile) {
        std::string body = chat ? kHello.dump() : R"({"prompt":"x"})";
        body.back() = ',';
        body += (name == "top_logprobs" ? R"("logprobs": true, ")" : "\"") + name + "\": " + value + "}";
        const auto answer = answer_of(service_, post(path, body));
        EXPECT_EQ(answer.head->status, 400) << body;
        EXPECT_EQ(Json::parse(answer.head->body)["error"]["param"], name) << body;
      }
    }
    for (const char* name : {"presence_penalty", "frequency_penalty"}) {
      for (const char* value : {"-2.1", "2.1", "NaN", "\"1\"", "9007199254740993"}) {
        std::string body = chat ? kHello.dump() : R"({"prompt":"x"})";
        body.back() = ',';
        body += std::string("\"") + name + "\": " + value + "}";
        const auto answer = answer_of(service_, post(path, body));
        EXPECT_EQ(answer.head->status, 400) << body;
        EXPECT_EQ(Json::parse(answer.head->body)["error"]["param"], name) << body;
      }
    }
    for (const char* zero : {"top_p", "typical_p", "repetition_penalty", "max_tokens", "n"}) {
      Json body = chat ? kHello : Json{{"prompt", "x"}};
      body[zero] = 0;
      EXPECT_EQ(ask(path, body, 400)["error"]["param"], zero);
    }
  }
  EXPECT_EQ(ask("/v1/chat/completions", kHello)["choices"], before);  // the next request is as it was
}

TEST_F(ServiceTest, NullMeansNotGivenAsOpenAisClientsSendIt) {
  Json body = kHello;
  for (const char* name : {"temperature", "top_p", "n", "max_tokens", "seed", "stop", "logit_bias",
                           "logprobs", "stream_options", "tools", "response_format", "user"}) {
    body[name] = nullptr;
  }
  EXPECT_EQ(ask("/v1/chat/completions", body)["choices"][0]["finish_reason"], "stop");
}

TEST_F(ServiceTest, WrongFieldsAreNamed) {
  struct Case {
    const char* more;
    const char* param;
  };
  for (const Case& c : {
           Case{R"("messages": [])", "messages"},
           Case{R"("messages": "hi")", "messages"},
           Case{R"("messages": [{"role": "wizard", "content": "x"}])", "messages[0].role"},
           Case{R"("messages": [{"role": "user"}])", "messages[0].content"},
           Case{R"("messages": [{"role": "user", "content": 3}])", "messages[0].content"},
           Case{R"("messages": [{"role": "user", "content": [{"type": "image_url"}]}])",
                "messages[0].content[0].type"},
           Case{R"("messages": [{"role": "user", "content": "x", "colour": 1}])", "messages[0].colour"},
           Case{R"("messages": [{"role": "user", "content": "x"}], "temperatur": 1)", "temperatur"},
           Case{R"("messages": [{"role": "user", "content": "x"}], "tools": [{}])", "tools[0].type"},
           Case{R"("messages": [{"role": "user", "content": "x"}], "response_format": {"type": "yaml"})",
                "response_format.type"},
           Case{R"("messages": [{"role": "user", "content": "x"}], "stop": [""])", "stop[0]"},
           Case{R"("messages": [{"role": "user", "content": "x"}], "logit_bias": {"300": 1})", "logit_bias"},
           Case{R"("messages": [{"role": "user", "content": "x"}], "logit_bias": {"5": 101})",
                "logit_bias.5"},
           Case{R"("messages": [{"role": "user", "content": "x"}], "stream": 1)", "stream"},
           Case{R"("messages": [{"role": "user", "content": "x"}], "stream_options": {})", "stream_options"},
           Case{R"("messages": [{"role": "user", "content": "x"}], "top_logprobs": 2)", "top_logprobs"},
           Case{R"("messages": [{"role": "user", "content": "x"}], "chat_template_kwargs": {"bos_token": 1})",
                "chat_template_kwargs.bos_token"},
           Case{R"("messages": [{"role": "user", "content": "x"}], "chat_template_kwargs": {"x": "<s>"})",
                "chat_template_kwargs.x"},
       }) {
    const auto answer = answer_of(service_, post("/v1/chat/completions", "{" + std::string(c.more) + "}"));
    EXPECT_EQ(answer.head->status, 400) << c.more;
    EXPECT_EQ(Json::parse(answer.head->body)["error"]["param"], c.param) << c.more;
  }
  EXPECT_EQ(ask("/v1/completions", {{"prompt", {1, 300}}}, 400)["error"]["param"], "prompt[1]");
  EXPECT_EQ(ask("/v1/completions", {{"prompt", Json::array()}}, 400)["error"]["param"], "prompt");
  Json other = kHello;
  other["model"] = "gpt-9";
  EXPECT_EQ(ask("/v1/chat/completions", other, 404)["error"]["code"], "model_not_found");
  other["model"] = "other-name";
  ask("/v1/chat/completions", other);
}

TEST_F(ServiceTest, ATooLongPromptIs400WithBothCounts) {
  const Json error = ask("/v1/completions", {{"prompt", std::string(300, 'x')}}, 400)["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("301 tokens"));
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("holds 256"));
}

TEST_F(ServiceTest, TokensGoThereAndBack) {
  const Json tokens = ask("/tokenize", {{"content", "abc<s>"}});
  EXPECT_EQ(tokens["tokens"], Json::array({259, 'c', '<', 's', '>'}));  // text never becomes a control token
  EXPECT_EQ(tokens["count"], 5);
  EXPECT_EQ(ask("/tokenize", {{"content", "<s>"}, {"parse_special", true}})["tokens"], Json::array({258}));
  EXPECT_EQ(ask("/detokenize", {{"tokens", {259, 'c'}}})["content"], "abc");
  EXPECT_EQ(ask("/detokenize", {{"tokens", {300}}}, 400)["error"]["param"], "tokens[0]");
  const Json prompt = ask("/apply-template", kHello);
  EXPECT_EQ(prompt["prompt"], "uHelloa");
  EXPECT_EQ(prompt["count"], 7);
}

TEST_F(ServiceTest, PlainChatKeepsOneConversationAUser) {
  const auto say = [&](const std::string& user, const std::string& input) {
    const auto answer =
        answer_of(service_, post("/chat", Json{{"user_id", user}, {"user_input", input}}.dump()));
    EXPECT_EQ(answer.head->status, 200);
    return answer.bytes.size();
  };
  EXPECT_EQ(say("ada", "Hello"), testing::kTextEnd - 7U);  // "uHelloa"
  EXPECT_EQ(say("bob", "Hi"), testing::kTextEnd - 4U);     // not ada's conversation
  const Json again = {{"user_id", "ada"}, {"user_input", std::string(200, 'x')}};
  EXPECT_EQ(ask("/chat", again, 400)["error"]["code"],
            "context_length_exceeded");  // with what was said before
  EXPECT_EQ(ask("/chat", {{"user_id", ""}, {"user_input", "x"}}, 400)["error"]["param"], "user_id");
  EXPECT_EQ(ask("/chat", {{"user_id", "ada"}}, 400)["error"]["param"], "user_input");
}

// B3: from the route table, so that a new route cannot be forgotten.
TEST(ServiceKeys, EveryRouteButHealthAndThePageIsDeniedWithoutAKey) {
  const auto backend = testing::toy_backend();
  ServiceOptions options;
  options.keys.add("the-right-key", "test");
  Service service(testing::served_by(*backend), options);
  ASSERT_GE(service.routes().routes().size(), 10U);
  for (const Route& route : service.routes().routes()) {
    HttpRequest request = post(route.path, "{}");
    request.method = route.method;
    const bool open = route.path == "/health" || route.path == "/" || route.path == "/assets/{file}";
    const auto refusal = service.refuse(request);
    EXPECT_EQ(refusal.has_value() ? refusal->status : 200, open ? 200 : 401) << route.path;
    request.headers.emplace_back("authorization", "Bearer the-wrong-key");
    const auto wrong = service.refuse(request);
    EXPECT_EQ(wrong.has_value() ? wrong->status : 200, open ? 200 : 401) << route.path;
    request.headers.back().second = "Bearer the-right-key";
    EXPECT_FALSE(service.refuse(request)) << route.path;
  }
  HttpRequest unknown = post("/no/such/path", "{}");
  EXPECT_EQ(service.refuse(unknown)->status, 401);  // nor can paths be probed
  backend->stop();
}

TEST_F(ServiceTest, HeadsAreChecked) {
  const auto status_of = [&](HttpRequest request) {
    const auto refusal = service_.refuse(request);
    return refusal ? refusal->status : 200;
  };
  HttpRequest request = post("/v1/completions", "{}");
  EXPECT_EQ(status_of(request), 200);
  request.headers[1].second = "text/plain";
  EXPECT_EQ(status_of(request), 415);
  request.headers[1].second = "application/json; charset=utf-8";
  EXPECT_EQ(status_of(request), 200);
  request.headers.emplace_back("content-encoding", "gzip");
  EXPECT_EQ(status_of(request), 415);
  request.headers.pop_back();
  request.headers.emplace_back("origin", "https://evil.example");
  EXPECT_EQ(status_of(request), 403);
  request.headers.pop_back();
  request.headers[0].second = "evil.example";
  EXPECT_EQ(status_of(request), 403);
  request.headers[0].second = "localhost:8080";
  request.method = "PUT";
  EXPECT_EQ(status_of(request), 405);
  EXPECT_EQ(service_.refuse(request)->headers.front().second, "POST");
  request.path = "/v1/nothing";
  EXPECT_EQ(status_of(request), 404);
}

TEST_F(ServiceTest, MetricsCountWhatHappened) {
  ask("/v1/completions", {{"prompt", "x"}, {"max_tokens", 3}});
  HttpRequest asked = post("/v1/completions", "");
  service_.answered(asked, 200, 0.2);
  HttpRequest request{.method = "GET", .path = "/metrics", .query = "", .headers = {{"host", "localhost"}}};
  const std::string text = answer_of(service_, request).head->body;
  EXPECT_THAT(text, HasSubstr("tessera_http_requests_total{path=\"/v1/completions\",status=\"200\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tessera_completion_tokens_total 3\n"));
  EXPECT_THAT(text, HasSubstr("tessera_http_request_seconds_bucket{le=\"0.1\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("tessera_http_request_seconds_bucket{le=\"0.25\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tessera_http_request_seconds_count 1\n"));
}

TEST(ServiceWithoutModel, AnswersWhatNeedsNoneAndTellsHowFarItIs) {
  Service service(ServiceOptions{});
  const auto get = [&](const std::string& path) {
    return answer_of(service,
                     {.method = "GET", .path = path, .query = "", .headers = {{"host", "localhost"}}});
  };
  EXPECT_EQ(get("/health").head->status, 503);
  EXPECT_EQ(Json::parse(get("/health").head->body)["status"], "loading");
  service.status().report(
      {.stage = "load", .subject = "toy", .done = 300, .total = 1000, .seconds = 3, .per_second = 100});
  const Json progress = Json::parse(get("/health").head->body)["progress"];
  EXPECT_EQ(progress, Json::parse(R"({"stage": "load", "done": 300, "total": 1000, "bytes_per_second": 100.0,
                                      "seconds_left": 7.0})"));
  const auto answer = answer_of(service, post("/v1/completions", R"({"prompt": "x"})"));
  EXPECT_EQ(answer.head->status, 503);
  EXPECT_THAT(answer.head->body, HasSubstr("300 of 1000 bytes"));
  EXPECT_THAT(answer.head->headers, ::testing::Contains(::testing::Pair("Retry-After", "7")));
  EXPECT_EQ(get("/v1/models").head->status, 503);
  EXPECT_EQ(get("/metrics").head->status, 200);
  Json status = Json::parse(get("/api/status").head->body);
  EXPECT_EQ(status["ready"], false);
  EXPECT_TRUE(status["model"].is_null());
  EXPECT_EQ(status["progress"], progress);

  service.status().fail("no such luck");
  EXPECT_EQ(Json::parse(get("/api/status").head->body)["error"], "no such luck");
  EXPECT_EQ(get("/health").head->status, 503);
}

TEST(ServiceWithoutModel, IsReadyWhenTheModelComes) {
  Service service(ServiceOptions{});
  testing::FakeBackend backend;
  service.set_model(testing::served_by(backend));
  const auto get = [&](const std::string& path) {
    return answer_of(service,
                     {.method = "GET", .path = path, .query = "", .headers = {{"host", "localhost"}}});
  };
  EXPECT_EQ(get("/health").head->status, 200);
  EXPECT_EQ(get("/health").head->body, R"({"status":"ok"})");
  const Json status = Json::parse(get("/api/status").head->body);
  EXPECT_EQ(status["ready"], true);
  EXPECT_EQ(status["model"], Json::parse(R"({"id": "toy", "name": "toy", "architecture": "scripted",
      "parameters": 0, "context_size": 256, "vocab_size": 260, "weights_bytes": 0, "chat": true})"));
  EXPECT_TRUE(status["progress"].is_null());
  EXPECT_TRUE(status["error"].is_null());
  EXPECT_EQ(status["defaults"]["temperature"], 0.0);
  EXPECT_EQ(get("/v1/models").head->status, 200);
  service.draining();
  EXPECT_EQ(get("/health").head->status, 503);
  EXPECT_EQ(Json::parse(get("/health").head->body)["status"], "stopping");
  const auto refused = answer_of(service, post("/v1/completions", R"({"prompt": "x"})"));
  EXPECT_EQ(refused.head->status, 503);
  EXPECT_EQ(backend.job_count(), 0U);
}

TEST(ServiceOverSockets, AStreamThatWaitsIsKeptAlive) {
  testing::FakeBackend backend;
  Service service(testing::served_by(backend), {});
  const auto exchange =
      std::make_shared<Exchange>(post("/v1/completions", R"({"prompt": "x", "stream": true})"));
  service.handle(exchange);
  EXPECT_EQ(exchange->keep_alive_seconds(), Exchange::kKeepAliveSeconds);
  exchange->send_keep_alive();
  const Exchange::Output output = exchange->take();
  EXPECT_EQ(output.head->content_type, "text/event-stream; charset=utf-8");
  EXPECT_EQ(output.bytes, ": wait\n\n");
  const auto whole = std::make_shared<Exchange>(post("/v1/completions", R"({"prompt": "x"})"));
  service.handle(whole);
  EXPECT_EQ(whole->keep_alive_seconds(), 0);
  exchange->abandon();  // as a connection does: an answer under way and its exchange hold each other
  whole->abandon();
}

TEST(ServiceOverSockets, ADisconnectCancelsTheJobs) {
  testing::FakeBackend backend;
  Service service(testing::served_by(backend), {});
  testing::RunningServer server(service);
  for (const char* body : {R"({"prompt": ["a", "b"], "stream": true})", R"({"prompt": ["a", "b"]})"}) {
    const std::size_t before = backend.job_count();
    tessera::testing::SocketClient client(server.port());
    client.send(tessera::testing::http_request("POST", "/v1/completions", body));
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (backend.job_count() < before + 2 && std::chrono::steady_clock::now() < end)
      std::this_thread::yield();
    ASSERT_EQ(backend.job_count(), before + 2);
    EXPECT_FALSE(backend.cancelled(before));
    client.close();
    while (!backend.cancelled(before + 1) && std::chrono::steady_clock::now() < end)
      std::this_thread::yield();
    EXPECT_TRUE(backend.cancelled(before));
    EXPECT_TRUE(backend.cancelled(before + 1));
  }
}

TEST(ServiceOverSockets, AFullQueueIs429BeforeTheBody) {
  testing::FakeBackend backend;
  Service service(testing::served_by(backend), {});
  testing::RunningServer server(service);
  backend.is_full = true;
  const auto answer = tessera::testing::ask(server.port(), "POST", "/v1/completions", R"({"prompt": "x"})");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
  EXPECT_EQ(tessera::testing::ask(server.port(), "GET", "/health").status, 200);
}

TEST(ServiceOverSockets, AFailureInTheMiddleOfAStreamIsAnErrorEvent) {
  testing::FakeBackend backend;
  Service service(testing::served_by(backend), {});
  testing::RunningServer server(service);
  tessera::testing::SocketClient client(server.port());
  client.send(
      tessera::testing::http_request("POST", "/v1/completions", R"({"prompt": "x", "stream": true})"));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (backend.job_count() < 1 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  ASSERT_EQ(backend.job_count(), 1U);
  backend.jobs[0].sink({.pieces = {{"so far", {}}}});
  EXPECT_THAT(client.receive_until("so far"), HasSubstr("200 OK"));  // the stream has begun
  backend.jobs[0].sink({.error = "out of luck"});
  const auto answer = client.receive();
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("so far"));
  EXPECT_THAT(answer.body, HasSubstr("data: {\"error\":{\"message\":\"out of luck\""));
  EXPECT_THAT(answer.body, ::testing::Not(HasSubstr("[DONE]")));
}

}  // namespace
}  // namespace tessera::serve
