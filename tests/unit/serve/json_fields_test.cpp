// A request's JSON: what is refused, and that the error names the field.
#include "serve/json_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace tessera::serve {
namespace {

using ::testing::HasSubstr;

ApiError refusal_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const ApiError& error) {
    return error;
  }
  ADD_FAILURE() << "expected an ApiError, but the call returned";
  return {0, ""};
}

TEST(ParseBody, SaysWhereTheTextBreaksOff) {
  struct Case {
    const char* body;
    const char* param;
  };
  for (const Case& c :
       {Case{"", ""}, Case{"{\"temperature\": NaN}", "temperature"},
        Case{"{\"a\": [1, {\"b\": -Infinity}]}", "a[1].b"}, Case{"{\"seed\": 1e999}", "seed"},
        Case{"{\"a\": 1, \"text\": \"\xff\"}", "text"}, Case{"{\"a\": 1} x", ""}, Case{"{\"a\": 1", ""},
        Case{"{\"s\": \"\\ud800\"}", "s"}, Case{"[]", ""}, Case{"3", ""}}) {
    const ApiError error = refusal_of([&] { parse_body(c.body); });
    EXPECT_EQ(error.status(), 400) << c.body;
    EXPECT_EQ(error.param(), c.param) << c.body;
    EXPECT_EQ(error.code(), "invalid_json") << c.body;
  }
}

TEST(ParseBody, BoundsDepthAndWidth) {
  const std::string deep = "{\"a\": " + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_THAT(refusal_of([&] { parse_body(deep); }).what(), HasSubstr("nested deeper than 64"));
  std::string wide = "{\"bias\": {";
  for (int i = 0; i < 2000; ++i) wide += "\"" + std::to_string(i) + "\": 1,";
  wide.back() = '}';
  EXPECT_THAT(refusal_of([&] { parse_body(wide + "}"); }).what(), HasSubstr("more than 1024 members"));
  EXPECT_EQ(parse_body("{\"a\": {\"b\": [1, [2]]}}")["a"]["b"][1][0], 2);
}

TEST(JsonFields, NumbersAreHeldToTheirRange) {
  const Json object = Json::parse(R"({"low": -0.1, "zero": 0, "one": 1, "high": 1.5, "text": "1", "yes": true,
      "list": [1], "null": null, "max": 18446744073709551615, "min": -9223372036854775808, "half": 0.5,
      "huge": 1e300, "odd": 9007199254740993})");
  JsonFields fields(object, "");
  EXPECT_EQ(fields.number("half", 0, 1), 0.5);
  EXPECT_EQ(fields.number("zero", 0, 1), 0);
  EXPECT_EQ(fields.number("null", 0, 1), std::nullopt);
  EXPECT_EQ(fields.number("absent", 0, 1), std::nullopt);
  for (const char* name : {"low", "high", "text", "yes", "list", "max", "min", "huge"}) {
    EXPECT_EQ(refusal_of([&] { fields.number(name, 0, 1); }).param(), name);
  }
  EXPECT_EQ(refusal_of([&] { fields.number("zero", 0, 1, true); }).param(), "zero");
  EXPECT_EQ(fields.integer("one", 0, 5), 1);
  for (const char* name : {"low", "high", "half", "text", "yes", "list", "max", "min", "huge", "odd"}) {
    EXPECT_EQ(refusal_of([&] { fields.integer(name, 0, (std::int64_t{1} << 53) - 1); }).param(), name);
  }
  EXPECT_EQ(refusal_of([&] { fields.boolean("one"); }).param(), "one");
  EXPECT_EQ(refusal_of([&] { fields.string("one"); }).param(), "one");
}

TEST(JsonFields, UnknownMembersAreRefusedWithANearName) {
  const Json object = Json::parse(R"({"temperature": 1, "temperatur": 2})");
  JsonFields fields(object, "options");
  fields.number("temperature", 0, 2);
  const ApiError error = refusal_of([&] { fields.finish(); });
  EXPECT_EQ(error.param(), "options.temperatur");
  EXPECT_THAT(error.what(), HasSubstr("did you mean 'temperature'?"));
}

TEST(JsonFields, WhatCannotBeDoneIsRefusedUnlessItHasNoEffect) {
  const Json object = Json::parse(R"({"tools": [], "store": true, "audio": null})");
  JsonFields fields(object, "");
  fields.only("tools", Json::array());
  fields.only("audio", nullptr);
  EXPECT_EQ(refusal_of([&] { fields.only("store", false); }).param(), "store");
}

}  // namespace
}  // namespace tessera::serve
