// Calls of tools in a text that comes in pieces of any size.
#include "serve/tool_call_parser.h"

#include <gtest/gtest.h>

#include <random>

namespace tessera::serve {
namespace {

struct Call {
  std::string name;
  std::string arguments;
  friend bool operator==(const Call&, const Call&) = default;
};
void PrintTo(const Call& call, std::ostream* out) { *out << call.name << call.arguments; }

struct Read {
  std::string content;
  std::vector<Call> calls;
  friend bool operator==(const Read&, const Read&) = default;
};
void PrintTo(const Read& read, std::ostream* out) {
  *out << "'" << read.content << "' " << ::testing::PrintToString(read.calls);
}

void collect(const std::vector<AnswerDelta>& deltas, Read& read) {
  for (const AnswerDelta& delta : deltas) {
    read.content += delta.content;
    if (delta.call < 0) continue;
    EXPECT_TRUE(delta.content.empty());
    if (delta.call == static_cast<std::int64_t>(read.calls.size())) {
      EXPECT_FALSE(delta.name.empty());
      read.calls.push_back({delta.name, ""});
    } else {
      EXPECT_EQ(delta.name, "");
      EXPECT_EQ(delta.call + 1, static_cast<std::int64_t>(read.calls.size()));
    }
    read.calls.back().arguments += delta.arguments;
  }
}

// Whole, byte by byte, and in random pieces: the same comes out.
Read read(const ToolCallForm& form, const std::string& text) {
  std::mt19937 random(5);
  Read first;
  for (int way = 0; way < 12; ++way) {
    ToolCallParser parser(form);
    Read found;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = way == 0 ? text.size() : way == 1 ? 1 : 1 + random() % 12;
      collect(parser.push(std::string_view(text).substr(at, length)), found);
      at += length;
    }
    collect(parser.finish(), found);
    EXPECT_EQ(parser.calls(), static_cast<std::int64_t>(found.calls.size()));
    if (way == 0) first = found;
    EXPECT_EQ(found, first) << "way " << way;
  }
  return first;
}

Read hermes(const std::string& text) { return read({ToolCallSyntax::hermes}, text); }
Read llama3(const std::string& text) { return read({ToolCallSyntax::llama3}, text); }
// Where the answer is calls of f, or something else.
Read hermes_or_else(const std::string& text) { return read({ToolCallSyntax::hermes, {"f"}}, text); }
Read llama3_or_else(const std::string& text) { return read({ToolCallSyntax::llama3, {"f"}}, text); }

TEST(ToolCallParser, TextWithoutCallsIsContent) {
  for (const char* text :
       {"", "Hello", " two  lines\n\n", "a < b <tool_cal <tool_ <<tool_x>", "</tool_call>", "\n"}) {
    EXPECT_EQ(hermes(text), (Read{text, {}}));
    EXPECT_EQ(llama3(text), (Read{text, {}}));
  }
}

TEST(ToolCallParser, CallsAreFoundWithTheTextBeforeThem) {
  EXPECT_EQ(
      hermes("<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": [2, {}]}}\n</tool_call>"),
      (Read{"", {{"add", R"({"a": 1, "b": [2, {}]})"}}}));
  EXPECT_EQ(
      hermes("I look.\n\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n<tool_call>\n{\"name\": "
             "\"g\", \"arguments\": {\"x\": \"}</tool_call>\\\"{\"}}\n</tool_call>\n"),
      (Read{"I look.", {{"f", "{}"}, {"g", R"({"x": "}</tool_call>\"{"})"}}}));
  EXPECT_EQ(hermes("<<tool_call>{\"name\": \"f\", \"parameters\": {\"s\": \"\\\\\"}}</tool_call> done"),
            (Read{"< done", {{"f", R"({"s": "\\"})"}}}));
}

TEST(ToolCallParser, OtherOrdersAndTextArgumentsAreUnderstood) {
  EXPECT_EQ(hermes("<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"f\"}</tool_call>"),
            (Read{"", {{"f", R"({"a":1})"}}}));
  EXPECT_EQ(hermes("<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>"),
            (Read{"", {{"f", R"({"a": 1})"}}}));
  EXPECT_EQ(hermes("<tool_call>{\"arguments\": {}, \"name\": \"f\"}"), (Read{"", {{"f", "{}"}}}));
}

TEST(ToolCallParser, WhatIsNoCallStaysContent) {
  EXPECT_EQ(hermes("<tool_call>nonsense</tool_call>"), (Read{"<tool_call>nonsense</tool_call>", {}}));
  EXPECT_EQ(hermes("<tool_call>{\"name\": \"f\""), (Read{"<tool_call>{\"name\": \"f\"", {}}));
  EXPECT_EQ(llama3("{\"city\": \"Paris\"}"), (Read{"{\"city\": \"Paris\"}", {}}));
}

TEST(ToolCallParser, ACallCutShortStaysAsFarAsItCame) {
  EXPECT_EQ(hermes("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"lon"),
            (Read{"", {{"f", R"({"a": "lon)"}}}));
}

TEST(ToolCallParser, Llama3WritesOneCallAndNothingElse) {
  EXPECT_EQ(llama3("{\"name\": \"f\", \"parameters\": {\"a\": {\"b\": 2}}}"),
            (Read{"", {{"f", R"({"a": {"b": 2}})"}}}));
  EXPECT_EQ(llama3("Say {\"name\": \"f\", \"parameters\": {}}"),
            (Read{"Say {\"name\": \"f\", \"parameters\": {}}", {}}));
}

TEST(ToolCallParser, WithAFormOfItsOwnWhatLooksLikeACallInsideIsText) {
  const std::string call = R"(<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>)";
  EXPECT_EQ(hermes_or_else(call + "\n" + call), (Read{"", {{"f", R"({"a": 1})"}, {"f", R"({"a": 1})"}}}));
  for (const std::string& text :
       {R"({"text": ")" + call + "\"}", "  " + call,
        std::string(R"(<tool_call>{"name": "g", "arguments": {}})"), std::string("<tool"),
        std::string("<tool_call> {} "), std::string("\n{}\n")}) {
    EXPECT_EQ(hermes_or_else(text), (Read{text, {}}));
  }
  EXPECT_EQ(llama3_or_else(R"({"name": "f", "parameters": {"a": 1}})"), (Read{"", {{"f", R"({"a": 1})"}}}));
  for (const std::string text :
       {R"({"name": "g", "parameters": {"a": 1}})", R"({"name": "f"})", "{\n", "[1]"}) {
    EXPECT_EQ(llama3_or_else(text), (Read{text, {}}));
  }
}

TEST(ToolCallParser, ArgumentsComeWhileTheyAreWritten) {
  ToolCallParser parser({ToolCallSyntax::hermes});
  const auto begun = parser.push("<tool_call>{\"name\": \"f\", \"arguments\": {\"a\"");
  ASSERT_EQ(begun.size(), 2U);
  EXPECT_EQ(begun[0].name, "f");
  EXPECT_EQ(begun[1].arguments, "{\"a\"");
  const auto more = parser.push(": 1");
  ASSERT_EQ(more.size(), 1U);
  EXPECT_EQ(more[0].arguments, ": 1");
}

}  // namespace
}  // namespace tessera::serve
