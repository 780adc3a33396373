// A server whose model changes, and that shows a training run.
#include "serve/changing_service.h"

#include <gtest/gtest.h>

#include <thread>

#include "serve/json_fields.h"
#include "toy_service.h"

namespace tessera::serve::testing {
namespace {

class FakeView final : public TrainingView {
 public:
  std::string state_json(std::int64_t after) const override {
    return fmt::format("{{\"after\": {}}}", after);
  }
};

HttpRequest get(const std::string& path, const std::string& query = "") {
  return {.method = "GET", .path = path, .query = query, .headers = {{"host", "localhost"}}};
}

std::shared_ptr<const engine::LoadedModel> named(const std::string& name) {
  const auto model = toy_model(256);
  model->name = name;
  return model;
}

Json completion(ChangingService& service) {
  return Json::parse(
      answer_of(service, post("/v1/completions", R"({"prompt": "x", "temperature": 0})")).head->body);
}

TEST(ChangingService, AnswersWithTheNewestModel) {
  ChangingService service({});
  EXPECT_EQ(answer_of(service, post("/v1/completions", R"({"prompt": "x"})")).head->status, 503);
  service.change_model(named("first"), toy_options(256, 8, 8), 30);
  EXPECT_EQ(completion(service)["model"], "first");
  service.change_model(named("second"), toy_options(256, 8, 8), 30);
  EXPECT_EQ(completion(service)["model"], "second");
}

// Requests from several threads while the model changes again and again: each is whole, whichever model gave
// it.
TEST(ChangingService, EndsWhatItBegan) {
  ChangingService service({});
  service.change_model(named("model-0"), toy_options(256, 64, 8), 30);
  const std::string expected = completion(service)["choices"][0]["text"];
  std::atomic<bool> done{false};
  std::vector<std::thread> clients;
  std::atomic<int> answers{0};
  for (int client = 0; client < 3; ++client) {
    clients.emplace_back([&] {
      while (!done) {
        const Json answer = completion(service);
        // A request that was handed to a model just as it went is told to come again.
        if (answer.contains("error")) continue;
        EXPECT_EQ(answer["choices"][0]["text"], expected);
        EXPECT_EQ(answer["choices"][0]["finish_reason"], "stop");
        ++answers;
      }
    });
  }
  for (int change = 1; change <= 5; ++change) {
    const int before = answers;
    while (answers < before + 3) std::this_thread::yield();
    service.change_model(named(fmt::format("model-{}", change)), toy_options(256, 64, 8), 30);
  }
  done = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(completion(service)["model"], "model-5");
}

TEST(TrainingRoutes, AreThereWithAView) {
  const FakeView view;
  ServiceOptions options;
  options.training = &view;
  ChangingService service(options);
  EXPECT_EQ(answer_of(service, get("/api/training")).head->body, "{\"after\": -1}");
  EXPECT_EQ(answer_of(service, get("/api/training", "after=7")).head->body, "{\"after\": 7}");
  EXPECT_EQ(answer_of(service, get("/api/training", "after=x")).head->status, 400);
  const auto page = answer_of(service, get("/training"));
  EXPECT_TRUE(page.head->status == 200 || page.head->status == 501) << page.head->status;
  ChangingService without({});
  EXPECT_EQ(answer_of(without, get("/api/training")).head->status, 404);
  EXPECT_EQ(answer_of(without, get("/training")).head->status, 404);
}

TEST(TrainingRoutes, NeedAKeyForWhatTheyTell) {
  const FakeView view;
  ServiceOptions options;
  options.training = &view;
  options.keys.add("secret-of-the-test", "test");
  ChangingService service(options);
  EXPECT_EQ(answer_of(service, get("/api/training")).head->status, 401);
}

}  // namespace
}  // namespace tessera::serve::testing
