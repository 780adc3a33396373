// tessera serve as a process: address, answers, signals, and OpenAI's own client as the judge.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/run_command.h"
#include "support/serve_process.h"
#include "support/socket_client.h"
#include "support/test_paths.h"

namespace tessera {
namespace {

using nlohmann::json;
using testing::ask;
using ::testing::HasSubstr;

class ServeDefaultModel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::default_model()) GTEST_SKIP() << "the default model is not there; ./quickstart gets it";
  }
  static json parsed(const testing::WireAnswer& answer) {
    EXPECT_EQ(answer.status, 200) << answer.body;
    return json::parse(answer.body, nullptr, false);
  }
};

constexpr const char* kQuestion =
    R"({"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0})";

TEST_F(ServeDefaultModel, AnswersAndStopsOnSigterm) {
  testing::ServeProcess server({"-c", "1024"});
  EXPECT_EQ(ask(server.port(), "GET", "/health").body, R"({"status":"ok"})");
  const json answer = parsed(ask(server.port(), "POST", "/v1/chat/completions", kQuestion));
  EXPECT_THAT(answer["choices"][0]["message"]["content"].get<std::string>(), HasSubstr("Paris"));
  EXPECT_EQ(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  const json again = parsed(ask(server.port(), "POST", "/v1/chat/completions", kQuestion));
  EXPECT_EQ(again["choices"], answer["choices"]);
  EXPECT_EQ(again["usage"]["prompt_tokens_details"]["cached_tokens"],
            answer["usage"]["prompt_tokens"].get<int>() - 1);
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait(), 0);
}

// FEATURES, nobody has it, 4: rollback that costs nothing, across restarts.
TEST_F(ServeDefaultModel, AfterARestartAndAnUndoOnlyTheNewMessageIsComputed) {
  const testing::TemporaryFolder folder;
  const std::vector<std::string> arguments = {"-c",
                                              "2048",
                                              "--sessions",
                                              (folder.path() / "sessions.db").string(),
                                              "--kv-cache-dir",
                                              (folder.path() / "kv").string()};
  const auto say = [](const testing::ServeProcess& server, const json& parent, const std::string& text) {
    const json body = {{"parent", parent}, {"content", text}};
    const std::string events = ask(server.port(), "POST", "/api/sessions/1/reply", body.dump()).body;
    const std::size_t done = events.find("event: done\ndata: ");
    EXPECT_NE(done, std::string::npos) << events;
    return done == std::string::npos ? json() : json::parse(events.substr(done + 18));
  };
  json places = json::array();
  json before;
  const std::vector<std::string> questions = {"What is the capital of France?", "And of Germany?",
                                              "And of Japan?", "Which of them is the largest?"};
  {
    testing::ServeProcess server(arguments);
    const json parameters = {{"temperature", 0}, {"max_tokens", 24}};
    EXPECT_EQ(ask(server.port(), "POST", "/api/sessions", json{{"parameters", parameters}}.dump()).status,
              201);
    json place;
    for (const std::string& question : questions) {
      before = say(server, place, question);
      place = before["message"]["id"];
      places.push_back(place);
    }
    server.signal(SIGTERM);
    EXPECT_EQ(server.wait(), 0);
  }
  testing::ServeProcess server(arguments);
  // Three turns taken back: to the first answer.
  const json after = say(server, places[0], "Name a river there.");
  const int computed =
      after["usage"]["prompt_tokens"].get<int>() - after["usage"]["cached_tokens"].get<int>();
  EXPECT_GT(after["usage"]["cached_tokens"], 30);
  // The message's own tokens, and those that close it and begin an answer; "And" of the old one is shared.
  const json count =
      json::parse(ask(server.port(), "POST", "/tokenize", R"({"content": "Name a river there."})").body);
  EXPECT_LE(computed, count["count"].get<int>() + 6);
  // The last question again: the same text, and nothing to compute but its end.
  const json again = say(server, places[2], questions[3]);
  EXPECT_EQ(again["message"]["content"], before["message"]["content"]);
  EXPECT_EQ(again["usage"]["cached_tokens"], again["usage"]["prompt_tokens"].get<int>() - 1);
}

TEST_F(ServeDefaultModel, FinishesTheAnswerUnderWayWhenStopped) {
  testing::ServeProcess server({"-c", "1024"});
  testing::SocketClient client(server.port());
  client.send(testing::http_request(
      "POST", "/v1/completions",
      R"({"prompt": "Once upon a time", "max_tokens": 200, "ignore_eos": true, "stream": true})"));
  EXPECT_THAT(client.receive_until("data: "), HasSubstr("200 OK"));
  server.signal(SIGINT);
  // A balancer that watches sees a 503, or nobody, once the answer is done; never a 200 that lasts.
  for (int status = 200; status == 200;) {
    try {
      status = ask(server.port(), "GET", "/health").status;
    } catch (const std::runtime_error&) {
      status = 0;
    }
  }
  const auto answer = client.receive();
  EXPECT_TRUE(answer.complete);
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n")) << answer.body;
  EXPECT_EQ(server.wait(), 0);
}

TEST_F(ServeDefaultModel, ADisconnectFreesTheModelForTheNext) {
  testing::ServeProcess server({});
  {
    testing::SocketClient client(server.port());  // would take minutes
    client.send(testing::http_request(
        "POST", "/v1/completions",
        R"({"prompt": "Once", "max_tokens": 8000, "ignore_eos": true, "stream": true})"));
    client.receive_until("data: ");
  }
  EXPECT_THAT(ask(server.port(), "POST", "/v1/chat/completions", kQuestion).body, HasSubstr("Paris"));
}

TEST_F(ServeDefaultModel, ThePlainFormRemembersAndStreamsText) {
  testing::ServeProcess server({"--temp", "0", "-c", "1024"});
  const auto first = ask(server.port(), "POST", "/chat",
                         R"({"user_id": "ada", "user_input": "What is the capital of France?"})");
  EXPECT_EQ(first.headers.at("content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(first.headers.at("transfer-encoding"), "chunked");
  EXPECT_THAT(first.body, HasSubstr("Paris"));
  // "it" needs the first question: another user's answer differs.
  const char* next = R"({"user_id": "%", "user_input": "And in which country is it?"})";
  const auto say = [&](const std::string& user) {
    return ask(server.port(), "POST", "/chat",
               std::string(next).replace(std::string(next).find('%'), 1, user))
        .body;
  };
  const std::string known = say("ada");
  EXPECT_NE(say("bob"), known);
}

// Runs a script that drives the server and ends with 77 when its client is not installed.
testing::CommandResult judge(const testing::ServeProcess& server, std::vector<std::string> command) {
  testing::CommandOptions options;
  options.timeout_seconds = 240;
  const auto installed = testing::source_dir() / "build" / "test-clients" / "python";
  if (command.front() == "python3" && std::filesystem::exists(installed)) {
    options.environment.emplace_back("PYTHONPATH", installed.string());
  }
  command.insert(command.end(), {server.url(), "e2e-test-key"});
  return testing::run_command(command, options);
}

TEST_F(ServeDefaultModel, OpenAisPythonClientIsContent) {
  testing::ServeProcess server({"-c", "2048", "--api-key", "e2e-test-key"});
  const char* named = std::getenv("TESSERA_TEST_PYTHON");
  const auto script = testing::source_dir() / "tests" / "e2e" / "openai_client.py";
  const auto result = judge(server, {named != nullptr ? named : "python3", script.string()});
  if (result.exit_code == 77 || result.exit_code == 127) {
    GTEST_SKIP() << "needs the Python package openai: tools/setup/test_clients (or TESSERA_TEST_PYTHON)";
  }
  EXPECT_EQ(result.exit_code, 0) << result.output << result.errors;
}

TEST_F(ServeDefaultModel, OpenAisNodeClientIsContent) {
  testing::ServeProcess server({"-c", "2048", "--api-key", "e2e-test-key"});
  const auto script = testing::source_dir() / "tests" / "e2e" / "openai_node" / "client.mjs";
  const auto result = judge(server, {"node", script.string()});
  if (result.exit_code == 77 || result.exit_code == 127) {
    GTEST_SKIP() << "needs Node.js and the npm package openai: tools/setup/test_clients";
  }
  EXPECT_EQ(result.exit_code, 0) << result.output << result.errors;
}

TEST(ServeUsage, ValuesOutOfRangeEndWithTwo) {
  const std::vector<std::vector<std::string>> cases = {
      {"--port", "-1"},
      {"--port", "65536"},
      {"--port", "x"},
      {"--queue", "-1"},
      {"--max-connections", "0"},
      {"--drain-seconds", "nan"},
      {"--drain-seconds", "-1"},
      {"--api-key", "short"},
      {"--temp", "nan"},
      {"-np", "0"},
      {"--cache-size", "-1"},
      {"--speculative", "x"},
  };
  for (std::vector<std::string> arguments : cases) {
    const std::string shown = arguments[0] + " " + arguments[1];
    arguments.insert(arguments.begin(), "serve");
    const auto result = testing::run_tessera(arguments);
    EXPECT_EQ(result.exit_code, 2) << shown << ": " << result.errors;
    EXPECT_THAT(result.errors, ::testing::StartsWith("error: ")) << shown;
  }
  EXPECT_EQ(testing::run_tessera({"serve", "--no-sessions", "--sessions", "x"}).exit_code, 2);
  EXPECT_EQ(testing::run_tessera({"serve", "--api-key-file", "/no/such/file"}).exit_code, 1);
}

}  // namespace
}  // namespace tessera
