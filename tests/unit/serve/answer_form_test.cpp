// Answers of a model that says anything: whatever it would, response_format, grammar and tool_choice hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "serve/json_fields.h"
#include "serve/tool_calls.h"
#include "toy_service.h"

namespace tessera::serve {
namespace {

using testing::answer_of;
using ::testing::HasSubstr;
using testing::post;

constexpr std::int64_t kContext = 2048;

class AnswerFormTest : public ::testing::Test {
 protected:
  // Random weights; `chat_template` may know tools or not.
  explicit AnswerFormTest(const std::string& chat_template =
                              "{% for m in messages %}{{ m.role[0] }}{{ m.content }}{% endfor %}a") {
    auto loaded = engine::testing::loaded_with(std::make_shared<engine::testing::ToyModel>(300, kContext));
    loaded->chat_template = std::make_shared<const text::ChatTemplate>(chat_template);
    backend_ = std::make_unique<EngineBackend>(loaded, testing::toy_options(kContext, 64, 8));
    service_ = std::make_unique<Service>(testing::served_by(*backend_), ServiceOptions{});
  }
  ~AnswerFormTest() override { backend_->stop(); }

  Json ask(Json body, int status = 200) {
    if (!body.contains("messages")) body["messages"] = Json::array({{{"role", "user"}, {"content", "go"}}});
    const auto answer = answer_of(*service_, post("/v1/chat/completions", body.dump()));
    EXPECT_EQ(answer.head->status, status) << answer.head->body;
    return Json::parse(answer.head->body, nullptr, false);
  }
  // The choices of 16 answers at a temperature at which anything may come.
  std::vector<Json> choices(Json body) {
    body.update(Json{{"n", 16}, {"temperature", 2.0}, {"seed", 7}, {"max_tokens", 400}});
    const Json answer = ask(body);
    return answer["choices"].get<std::vector<Json>>();
  }

  std::unique_ptr<EngineBackend> backend_;
  std::unique_ptr<Service> service_;
};

const Json kPerson =
    Json::parse(R"({"type": "object", "additionalProperties": false, "required": ["name", "age"],
    "properties": {"name": {"type": "string", "maxLength": 6}, "age": {"type": "integer"},
                   "kind": {"enum": ["cat", "dog"]}}})");

void expect_person(const Json& person) {
  ASSERT_TRUE(person.is_object()) << person;
  EXPECT_TRUE(person["name"].is_string()) << person;
  EXPECT_TRUE(person["age"].is_number_integer()) << person;
  if (person.contains("kind")) {
    EXPECT_TRUE(person["kind"] == "cat" || person["kind"] == "dog") << person;
  }
}

TEST_F(AnswerFormTest, AJsonSchemaAlwaysHolds) {
  const Json format = {{"type", "json_schema"}, {"json_schema", {{"name", "person"}, {"schema", kPerson}}}};
  for (const Json& choice : choices({{"response_format", format}})) {
    EXPECT_EQ(choice["finish_reason"], "stop");
    expect_person(Json::parse(choice["message"]["content"].get<std::string>(), nullptr, false));
  }
}

TEST_F(AnswerFormTest, JsonObjectIsAnObjectAndAGrammarIsFollowed) {
  std::size_t complete = 0;
  for (const Json& choice : choices({{"response_format", {{"type", "json_object"}}}})) {
    const auto text = choice["message"]["content"].get<std::string>();
    EXPECT_EQ(text.front(), '{');
    if (choice["finish_reason"] != "stop") continue;
    ++complete;
    EXPECT_TRUE(Json::parse(text, nullptr, false).is_object()) << text;
  }
  EXPECT_GT(complete, 0U);
  for (const Json& choice : choices({{"grammar", R"(root ::= "yes" | "no" [!?]{2})"}})) {
    EXPECT_THAT(choice["message"]["content"].get<std::string>(), ::testing::MatchesRegex("yes|no[!?][!?]"));
  }
  const auto answer = answer_of(
      *service_,
      post("/v1/completions", R"({"prompt": "x", "grammar": "root ::= [0-9]{3}", "temperature": 2})"));
  EXPECT_THAT(Json::parse(answer.head->body)["choices"][0]["text"].get<std::string>(),
              ::testing::MatchesRegex("[0-9][0-9][0-9]"));
}

TEST_F(AnswerFormTest, WhatCannotBeAGrammarIsRefusedByName) {
  const auto refusal = [&](const Json& body) {
    const Json error = ask(body, 400)["error"];
    return error["param"].get<std::string>() + ": " + error["message"].get<std::string>();
  };
  EXPECT_THAT(refusal({{"grammar", "root ::= x"}}), HasSubstr("grammar: "));
  EXPECT_THAT(refusal({{"grammar", 3}}), HasSubstr("grammar: "));
  EXPECT_THAT(refusal({{"grammar", "root ::= \"x\""}, {"response_format", {{"type", "json_object"}}}}),
              HasSubstr("cannot be combined"));
  const auto with_schema = [](const Json& schema) {
    return Json{
        {"response_format", {{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", schema}}}}}};
  };
  EXPECT_THAT(refusal(with_schema({{"type", "array"}, {"uniqueItems", true}})),
              HasSubstr("response_format.json_schema.schema: JSON schema: #: keyword 'uniqueItems'"));
  EXPECT_THAT(refusal(with_schema({{"type", "wrong"}})), HasSubstr("response_format.json_schema.schema"));
  EXPECT_THAT(refusal({{"response_format", {{"type", "json_schema"}}}}),
              HasSubstr("response_format.json_schema: is required"));
  // The server is as well as before.
  EXPECT_EQ(ask({{"grammar", "root ::= \"x\""}})["choices"][0]["message"]["content"], "x");
}

const Json kTools = Json::parse(R"([
  {"type": "function", "function": {"name": "make_person", "description": "Makes somebody.",
    "parameters": {"type": "object", "additionalProperties": false, "required": ["name", "age"],
      "properties": {"name": {"type": "string", "maxLength": 6}, "age": {"$ref": "#/$defs/age"}},
      "$defs": {"age": {"type": "integer"}}}}},
  {"type": "function", "function": {"name": "nothing"}}])");

void expect_call(const Json& call) {
  EXPECT_THAT(call["id"].get<std::string>(), ::testing::StartsWith("call_"));
  EXPECT_EQ(call["type"], "function");
  const Json arguments = Json::parse(call["function"]["arguments"].get<std::string>(), nullptr, false);
  if (call["function"]["name"] == "make_person") {
    expect_person(arguments);
  } else {
    EXPECT_EQ(call["function"]["name"], "nothing");
    EXPECT_EQ(arguments, Json::object());
  }
}

TEST_F(AnswerFormTest, ARequiredCallAlwaysComes) {
  std::set<std::string> called;
  for (const Json& choice : choices({{"tools", kTools}, {"tool_choice", "required"}})) {
    EXPECT_EQ(choice["finish_reason"], "tool_calls");
    EXPECT_TRUE(choice["message"]["content"].is_null());
    ASSERT_EQ(choice["message"]["tool_calls"].size(), 1U);
    expect_call(choice["message"]["tool_calls"][0]);
    called.insert(choice["message"]["tool_calls"][0]["function"]["name"].get<std::string>());
  }
  EXPECT_EQ(called.size(), 2U);
  const Json named = {{"type", "function"}, {"function", {{"name", "nothing"}}}};
  for (const Json& choice : choices({{"tools", kTools}, {"tool_choice", named}})) {
    EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["name"], "nothing");
  }
}

TEST_F(AnswerFormTest, AStreamedCallPutTogetherIsTheCall) {
  Json body = {{"tools", kTools}, {"tool_choice", "required"}, {"temperature", 1.5}, {"seed", 3}};
  const Json whole = ask(body)["choices"][0]["message"]["tool_calls"][0]["function"];
  body["stream"] = true;
  body["logprobs"] = true;
  body["messages"] = Json::array({{{"role", "user"}, {"content", "go"}}});
  const auto answer = answer_of(*service_, post("/v1/chat/completions", body.dump()));
  Json call = {{"name", ""}, {"arguments", ""}};
  std::string reason;
  std::size_t parts = 0;
  std::size_t tokens = 0;
  for (std::size_t at = answer.bytes.find("data: {"); at != std::string::npos;
       at = answer.bytes.find("data: {", at + 1)) {
    const Json event = Json::parse(answer.bytes.substr(at + 6, answer.bytes.find("\n\n", at) - at - 6));
    const Json& choice = event["choices"][0];
    if (choice["finish_reason"].is_string()) reason = choice["finish_reason"];
    if (choice["logprobs"].is_object()) tokens += choice["logprobs"]["content"].size();
    if (!choice["delta"].contains("tool_calls")) continue;
    const Json& part = choice["delta"]["tool_calls"][0];
    EXPECT_EQ(part["index"], 0);
    EXPECT_EQ(part.contains("id"), parts++ == 0);
    if (part["function"].contains("name")) call["name"] = part["function"]["name"];
    call["arguments"] =
        call["arguments"].get<std::string>() + part["function"]["arguments"].get<std::string>();
  }
  EXPECT_EQ(call, whole);
  EXPECT_EQ(reason, "tool_calls");
  EXPECT_GE(parts, 2U);
  EXPECT_GT(tokens, call["arguments"].get<std::string>().size());  // the tags and the name have theirs too
}

// By chance no call comes: so one is made likely.
TEST_F(AnswerFormTest, WithAutoAnyTextMayComeAndCallsAreWhole) {
  Json bias = Json::object();
  for (const char c : std::string("<tol_ca>")) bias[std::to_string(int{c})] = 12;
  std::size_t texts = 0;
  for (const Json& choice : choices({{"tools", kTools}})) {
    if (!choice["message"].contains("tool_calls")) ++texts;
  }
  EXPECT_GT(texts, 0U);
  for (const Json& choice : choices({{"tools", kTools}, {"logit_bias", bias}})) {
    for (const Json& call : choice["message"].value("tool_calls", Json::array())) {
      if (choice["finish_reason"] == "tool_calls") expect_call(call);
    }
  }
}

// A call or the format, and nothing else. By chance alone nearly all would be one of them: '<' is made
// likely.
void expect_calls_or_people(const std::vector<Json>& choices, std::size_t& calls, std::size_t& people) {
  for (const Json& choice : choices) {
    if (choice["finish_reason"] == "tool_calls") {
      ++calls;
      EXPECT_TRUE(choice["message"]["content"].is_null()) << choice;
      for (const Json& call : choice["message"]["tool_calls"]) expect_call(call);
    } else if (choice["finish_reason"] == "stop") {
      ++people;
      EXPECT_FALSE(choice["message"].contains("tool_calls")) << choice;
      expect_person(Json::parse(choice["message"]["content"].get<std::string>(), nullptr, false));
    }
  }
}

const Json kPersonFormat =
    Json{{"type", "json_schema"}, {"json_schema", {{"name", "person"}, {"schema", kPerson}}}};

TEST_F(AnswerFormTest, WithToolsAndAFormatTheAnswerIsOneOfThem) {
  std::size_t calls = 0;
  std::size_t people = 0;
  const Json either = {{"tools", kTools}, {"response_format", kPersonFormat}};
  expect_calls_or_people(choices(either), calls, people);
  Json likely = either;
  likely["logit_bias"] = {{std::to_string(int{'<'}), 5}};
  expect_calls_or_people(choices(likely), calls, people);
  EXPECT_GT(calls, 0U);
  EXPECT_GT(people, 0U);
  Json required = either;
  required["tool_choice"] = "required";
  for (const Json& choice : choices(required)) EXPECT_EQ(choice["finish_reason"], "tool_calls");
  required["tool_choice"] = {{"type", "function"}, {"function", {{"name", "nothing"}}}};
  for (const Json& choice : choices(required)) {
    EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["name"], "nothing");
  }
  required["tool_choice"] = "none";
  for (const Json& choice : choices(required)) {
    expect_person(Json::parse(choice["message"]["content"].get<std::string>(), nullptr, false));
  }
  const Json grammar = {{"tools", kTools}, {"grammar", "root ::= word{2} # \"twice\"\nword ::= [a-c\\]]"}};
  for (const Json& choice : choices(grammar)) {
    if (choice["finish_reason"] != "stop") continue;
    EXPECT_THAT(choice["message"]["content"].get<std::string>(), ::testing::MatchesRegex("[]a-c][]a-c]"));
  }
}

TEST_F(AnswerFormTest, FieldsOfToolsAreChecked) {
  const auto param = [&](const Json& body) { return ask(body, 400)["error"]["param"].get<std::string>(); };
  const auto tool = [](const Json& function) {
    return Json{{"tools", Json::array({{{"type", "function"}, {"function", function}}})}};
  };
  EXPECT_EQ(param({{"tools", "x"}}), "tools");
  EXPECT_EQ(param({{"tools", Json::array({{{"type", "search"}}})}}), "tools[0].type");
  EXPECT_EQ(param({{"tools", Json::array({{{"type", "function"}}})}}), "tools[0].function");
  EXPECT_EQ(param(tool({{"name", "a b"}})), "tools[0].function.name");
  EXPECT_EQ(param(tool({{"name", "f"}, {"parameters", 1}})), "tools[0].function.parameters");
  EXPECT_EQ(param(tool({{"name", "f"}, {"colour", 1}})), "tools[0].function.colour");
  const Json unsupported = {{"type", "object"}, {"properties", {{"x", {{"not", Json::object()}}}}}};
  EXPECT_EQ(param(tool({{"name", "f"}, {"strict", true}, {"parameters", unsupported}})),
            "tools[0].function.parameters");
  ask(tool({{"name", "f"}, {"parameters", unsupported}}));  // any object, then
  Json twice = tool({{"name", "f"}});
  twice["tools"].push_back(twice["tools"][0]);
  EXPECT_EQ(param(twice), "tools[1].function.name");
  EXPECT_EQ(param({{"tool_choice", "required"}}), "tool_choice");
  Json chosen = tool({{"name", "f"}});
  chosen["tool_choice"] = {{"type", "function"}, {"function", {{"name", "g"}}}};
  EXPECT_EQ(param(chosen), "tool_choice.function.name");
  chosen["tool_choice"] = "sometimes";
  EXPECT_EQ(param(chosen), "tool_choice");
  chosen["tool_choice"] = "auto";
  chosen["response_format"] = {{"type", "json_objects"}};
  EXPECT_EQ(param(chosen), "response_format.type");
  chosen["response_format"] = {{"type", "json_object"}};
  chosen["tool_choice"] = "none";
  EXPECT_FALSE(ask(chosen)["choices"][0]["message"].contains("tool_calls"));
}

TEST_F(AnswerFormTest, AConversationWithCallsGoesOn) {
  const Json messages = Json::parse(R"([
    {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Make Ada."},
    {"role": "assistant", "content": null, "tool_calls": [
      {"id": "call_1", "type": "function", "function": {"name": "make_person", "arguments": "{\"name\": \"Ada\"}"}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "made"}])");
  ask({{"messages", messages}, {"tools", kTools}, {"max_tokens", 3}});
  ask({{"messages", messages}, {"max_tokens", 3}});  // the tools are not offered again
  OfferedTools tools;
  tools.list = kTools;
  Json read = messages;
  read[2]["content"] = "";
  read[2]["tool_calls"][0]["function"]["arguments"] = {{"name", "Ada"}};
  const Json told = messages_with_tools(read, tools);
  EXPECT_THAT(told[0]["content"].get<std::string>(), HasSubstr("Be kind."));
  EXPECT_THAT(told[0]["content"].get<std::string>(), HasSubstr(R"("name":"make_person")"));
  EXPECT_EQ(told[2]["content"],
            "<tool_call>\n{\"name\":\"make_person\",\"arguments\":{\"name\":\"Ada\"}}\n</tool_call>");
  EXPECT_EQ(told[3]["role"], "user");
  EXPECT_EQ(told[3]["content"], "<tool_response>\nmade\n</tool_response>");
  Json wrong = messages;
  wrong[2]["tool_calls"][0]["function"]["arguments"] = "not JSON";
  EXPECT_EQ(ask({{"messages", wrong}}, 400)["error"]["param"],
            "messages[2].tool_calls[0].function.arguments");
}

class TemplateWithTools : public AnswerFormTest {
 protected:
  explicit TemplateWithTools(const std::string& how)
      : AnswerFormTest(
            "{% if tools %}" + how +
            "{% for t in tools %}{{ t | tojson }}{% endfor %}{% endif %}{% for m in messages %}{{ m.role[0] "
            "}}{{ m.content }}{% for c in m.tool_calls or [] %}[{{ c.function.arguments | tojson }}]{% "
            "endfor %}{% endfor %}a") {}
};
class HermesTemplate : public TemplateWithTools {
 protected:
  HermesTemplate() : TemplateWithTools("Calls look like <tool_call>.") {}
};
class Llama3Template : public TemplateWithTools {
 protected:
  Llama3Template() : TemplateWithTools(R"(<|start_header_id|>Answer {"name": x, "parameters": y}.)") {}
};

TEST_F(HermesTemplate, TellsOfTheToolsItself) {
  const Json answer = ask({{"tools", kTools}, {"max_tokens", 1}});
  const Json none = ask({{"max_tokens", 1}});
  const auto difference =
      answer["usage"]["prompt_tokens"].get<int>() - none["usage"]["prompt_tokens"].get<int>();
  EXPECT_LT(difference, 500);  // and not a second time in a system message
  EXPECT_GT(difference, 300);
  for (const Json& choice : choices({{"tools", kTools}, {"tool_choice", "required"}})) {
    expect_call(choice["message"]["tool_calls"][0]);
  }
}

TEST_F(HermesTemplate, SeveralCallsWhereTheyAreAskedFor) {
  std::size_t most = 0;
  for (const Json& choice :
       choices({{"tools", kTools}, {"tool_choice", "required"}, {"parallel_tool_calls", true}})) {
    if (choice["finish_reason"] != "tool_calls") continue;
    most = std::max(most, choice["message"]["tool_calls"].size());
    for (const Json& call : choice["message"]["tool_calls"]) expect_call(call);
  }
  EXPECT_GT(most, 1U);
}

TEST_F(Llama3Template, WithAFormatTheAnswerIsACallOrOfTheFormat) {
  std::size_t calls = 0;
  std::size_t ages = 0;
  const Json schema = Json::parse(R"({"type": "object", "additionalProperties": false, "required": ["age"],
                                      "properties": {"age": {"type": "integer"}}})");
  const Json format = {{"type", "json_schema"}, {"json_schema", {{"name", "age"}, {"schema", schema}}}};
  // Both begin with a brace; "name" or "age" tells which it is.
  for (const int bias : {-4, 0, 4}) {
    for (const Json& choice : choices({{"tools", kTools},
                                       {"response_format", format},
                                       {"logit_bias", {{std::to_string(int{'n'}), bias}}}})) {
      if (choice["finish_reason"] == "tool_calls") {
        ++calls;
        EXPECT_TRUE(choice["message"]["content"].is_null()) << choice;
        expect_call(choice["message"]["tool_calls"][0]);
      } else if (choice["finish_reason"] == "stop") {
        ++ages;
        const Json answer = Json::parse(choice["message"]["content"].get<std::string>(), nullptr, false);
        EXPECT_TRUE(answer["age"].is_number_integer()) << choice;
      }
    }
  }
  EXPECT_GT(calls, 0U);
  EXPECT_GT(ages, 0U);
}

TEST_F(Llama3Template, CallsAreParametersAlone) {
  for (const Json& choice : choices({{"tools", kTools}, {"tool_choice", "required"}})) {
    EXPECT_EQ(choice["finish_reason"], "tool_calls");
    expect_call(choice["message"]["tool_calls"][0]);
  }
  for (const Json& choice : choices({{"tools", kTools}})) {
    if (choice["message"].contains("tool_calls")) continue;
    EXPECT_NE(choice["message"]["content"].get<std::string>().substr(0, 1), "{");
  }
}

}  // namespace
}  // namespace tessera::serve
