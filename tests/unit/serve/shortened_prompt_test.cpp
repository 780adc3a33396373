// A conversation that has become too long: as few of its oldest turns go as must.
#include "serve/shortened_prompt.h"

#include <gtest/gtest.h>

#include "toy_service.h"

namespace tessera::serve {
namespace {

Json message(const char* role, std::size_t length) {
  return {{"role", role}, {"content", std::string(length, 'x')}};
}

// A token a byte; a message has one more.
std::vector<TokenId> encode(const Json& messages) {
  std::vector<TokenId> tokens;
  for (const Json& one : messages) {
    tokens.push_back(one["role"].get<std::string>().front());
    for (const char c : one["content"].get<std::string>()) tokens.push_back(c);
  }
  return tokens;
}

TEST(ShortenedPrompt, DropsAsFewTurnsAsMustGo) {
  Json messages = Json::array({message("system", 9)});
  for (int turn = 0; turn < 20; ++turn) {
    messages.push_back(message("user", 9));
    messages.push_back(message("assistant", 19));
    if (turn % 3 == 0) messages.push_back(message("tool", 4));
  }
  messages.push_back(message("user", 9));
  for (std::int64_t most = 0; most < 750; ++most) {
    const ShortenedPrompt prompt = shortened_prompt(messages, most, encode);
    // By trying them all.
    Json kept = messages;
    std::int64_t dropped = 0;
    while (std::ssize(encode(kept)) > most && kept.size() > 2) {
      do {
        kept.erase(1);
        ++dropped;
      } while (kept[1]["role"] != "user");
    }
    EXPECT_EQ(prompt.tokens, encode(kept)) << most;
    EXPECT_EQ(prompt.dropped_messages, dropped) << most;
  }
}

TEST(ShortenedPrompt, IsStatedInTheAnswer) {
  const auto backend = testing::toy_backend(64);
  Service service(testing::served_by(*backend), ServiceOptions{});
  Json messages = Json::array({{{"role", "system"}, {"content", "0123456789"}}});
  for (int turn = 0; turn < 4; ++turn) {
    messages.push_back({{"role", "user"}, {"content", std::string(9, 'q')}});
    messages.push_back({{"role", "assistant"}, {"content", std::string(9, 'z')}});
  }
  messages.push_back({{"role", "user"}, {"content", "end"}});
  const auto ask = [&](Json body, int status = 200) {
    body["messages"] = messages;
    const auto answer = testing::answer_of(service, testing::post("/v1/chat/completions", body.dump()));
    EXPECT_EQ(answer.head->status, status) << answer.head->body;
    return answer;
  };
  EXPECT_EQ(Json::parse(ask({{"max_tokens", 8}}, 400).head->body)["error"]["code"],
            "context_length_exceeded");
  // The system's 11, a turn's 20, the last 4 and "a" for the answer: two turns fit beside 8 tokens.
  const Json whole = Json::parse(ask({{"max_tokens", 8}, {"truncation", "auto"}}).head->body);
  EXPECT_EQ(whole["usage"]["prompt_tokens"], 11 + 2 * 20 + 4 + 1);
  EXPECT_EQ(whole["dropped_messages"], 4);
  const auto streamed = ask({{"max_tokens", 28}, {"truncation", "auto"}, {"stream", true}});
  EXPECT_NE(streamed.bytes.find("\"dropped_messages\":6"), std::string::npos) << streamed.bytes;
  ask({{"truncation", "perhaps"}}, 400);
  messages = Json::array({{{"role", "user"}, {"content", "short"}}});
  EXPECT_EQ(Json::parse(ask({{"truncation", "auto"}}).head->body)["dropped_messages"], 0);
  EXPECT_FALSE(Json::parse(ask({{"truncation", "disabled"}}).head->body).contains("dropped_messages"));
  messages = Json::array({{{"role", "user"}, {"content", std::string(100, 'x')}}});  // too long by itself
  EXPECT_EQ(Json::parse(ask({{"truncation", "auto"}}, 400).head->body)["error"]["code"],
            "context_length_exceeded");
  const auto text = testing::answer_of(
      service, testing::post("/v1/completions", R"({"prompt": "x", "truncation": "auto"})"));
  EXPECT_EQ(Json::parse(text.head->body)["error"]["param"], "truncation");
  backend->stop();
}

}  // namespace
}  // namespace tessera::serve
