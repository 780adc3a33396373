// Adapters as models of the API: listed, chosen by "model", told in answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/openai_api.h"
#include "toy_service.h"

namespace tessera::serve {
namespace {

using ::testing::ElementsAre;

class LoraModels : public ::testing::Test {
 protected:
  static std::shared_ptr<const engine::LoadedModel> adapted_model() {
    auto loaded = testing::toy_model(256);
    // The second one has a name that the model has too: then the model is meant.
    loaded->adapters = {{"mine", "", "1"}, {"other-name", "", "2"}, {"third", "", "3"}};
    return loaded;
  }
  CompletionPlan chat(const Json& model) {
    Json body{{"messages", Json::array({{{"role", "user"}, {"content", "x"}}})}};
    if (!model.is_null()) body["model"] = model;
    return plan_chat_completion(body, served_, "client");
  }
  CompletionPlan text(const Json& model) {
    return plan_text_completion({{"prompt", "x"}, {"model", model}}, served_, "client");
  }

  EngineBackend backend_{adapted_model(), testing::toy_options(256, 8, 8)};
  ServedModel served_ = testing::served_by(backend_);
};

TEST_F(LoraModels, AreListedBesideTheModel) {
  const Json list = models_json(served_, 5)["data"];
  std::vector<std::string> names;
  for (const Json& model : list) names.push_back(model["id"]);
  EXPECT_THAT(names, ElementsAre("toy", "other-name", "mine", "third"));
  EXPECT_FALSE(list[0].contains("parent"));
  EXPECT_EQ(list[2]["parent"], "toy");
  EXPECT_EQ(model_json(served_, "third", 5)["parent"], "toy");
  EXPECT_THROW(model_json(served_, "fourth", 5), ApiError);
}

TEST_F(LoraModels, AreChosenByName) {
  EXPECT_EQ(chat("mine").jobs.front().lora, 0);
  EXPECT_EQ(text("third").jobs.front().lora, 2);
  EXPECT_EQ(chat("mine").head.model, "mine");
  for (const Json& model : {Json(), Json("toy"), Json("other-name")}) {
    EXPECT_EQ(chat(model).jobs.front().lora, nn::kNoLora) << model;
    EXPECT_EQ(chat(model).head.model, "toy") << model;
  }
  EXPECT_THROW(chat("fourth"), ApiError);
  EXPECT_THROW(text("fourth"), ApiError);
}

}  // namespace
}  // namespace tessera::serve
