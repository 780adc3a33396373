// Bounds, patterns and combinations of JSON schemas: exactly the values that they allow.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <regex>

#include "engine/grammar.h"
#include "engine/json_schema.h"
#include "engine/schema_number.h"
#include "engine/schema_pattern.h"
#include "support/error_of.h"

namespace tessera::engine {
namespace {

using Json = nlohmann::ordered_json;
using tessera::testing::error_of;

// A grammar that texts are read with, one after the other.
class Reader {
 public:
  explicit Reader(const std::string& gbnf) : grammar_(parse_gbnf(gbnf)) {}
  bool accepts(std::string_view text) {
    Grammar::State state = grammar_.start();
    for (const char byte : text) state = grammar_.step(state, static_cast<std::uint8_t>(byte));
    return state != Grammar::kDead && grammar_.is_complete(state);
  }

 private:
  Grammar grammar_;
};

Reader of_schema(const Json& schema) { return Reader(json_schema_to_gbnf(schema.dump())); }

TEST(SchemaBounds, IntegersAreExactlyThoseWithin) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    const std::int64_t spread = round % 3 == 0 ? 12 : 1500;
    const auto any = [&] { return static_cast<std::int64_t>(random() % (2 * spread)) - spread; };
    NumberBounds bounds;
    if (random() % 5 != 0) bounds.least = any();
    if (random() % 5 != 0) bounds.most = any();
    bounds.above_least = random() % 3 == 0;
    bounds.below_most = random() % 3 == 0;
    const std::int64_t low = bounds.least.value_or(-99999) + (bounds.least && bounds.above_least ? 1 : 0);
    const std::int64_t high = bounds.most.value_or(99999) - (bounds.most && bounds.below_most ? 1 : 0);
    const std::string gbnf = bounded_integer_gbnf(bounds);
    if (low > high) {
      EXPECT_EQ(gbnf, "");
      continue;
    }
    Reader reader("root ::= " + gbnf);
    for (std::int64_t value = -2000; value <= 2000; ++value) {
      ASSERT_EQ(reader.accepts(std::to_string(value)), value >= low && value <= high)
          << value << " in [" << low << ", " << high << "]: " << gbnf;
    }
    EXPECT_FALSE(reader.accepts("-0"));
    EXPECT_FALSE(reader.accepts("007"));
    EXPECT_FALSE(reader.accepts(""));
    EXPECT_EQ(reader.accepts("54321"), low <= 54321 && 54321 <= high);
    EXPECT_EQ(reader.accepts("-54321"), low <= -54321 && -54321 <= high);
  }
}

TEST(SchemaBounds, DecimalsAreThoseWithin) {
  std::mt19937 random(12);
  for (int round = 0; round < 300; ++round) {
    const auto any = [&] { return static_cast<std::int64_t>(random() % 240) - 120; };
    NumberBounds bounds;
    if (random() % 5 != 0) bounds.least = any();
    if (random() % 5 != 0) bounds.most = any();
    bounds.above_least = random() % 2 == 0;
    bounds.below_most = random() % 2 == 0;
    const std::string gbnf = bounded_number_gbnf(bounds);
    const auto within = [&](double value) {
      const double least = static_cast<double>(bounds.least.value_or(-1000));
      const double most = static_cast<double>(bounds.most.value_or(1000));
      const bool above = bounds.least && bounds.above_least ? value > least : value >= least;
      const bool below = bounds.most && bounds.below_most ? value < most : value <= most;
      return above && below;
    };
    if (gbnf.empty()) {
      EXPECT_GE(*bounds.least, *bounds.most);
      continue;
    }
    Reader reader("root ::= " + gbnf);
    for (int i = 0; i < 3000; ++i) {
      std::string text = std::to_string(any());
      const char* fractions[] = {"", ".0", ".000", ".5", ".25", ".001", ".0001000", ".99"};
      text += fractions[random() % 8];
      const double value = std::stod(text);
      if (text.starts_with("-0")) continue;  // zero has no sign here
      ASSERT_EQ(reader.accepts(text), within(value)) << text << " " << gbnf;
    }
    for (const char* negative : {"-0.5", "-0.001"}) {
      EXPECT_EQ(reader.accepts(negative), within(std::stod(negative))) << negative << " " << gbnf;
    }
  }
}

TEST(SchemaBounds, KeywordsReachTheGrammar) {
  Reader age = of_schema({{"type", "integer"}, {"minimum", 0}, {"exclusiveMaximum", 150}});
  EXPECT_TRUE(age.accepts("149"));
  EXPECT_FALSE(age.accepts("150"));
  EXPECT_FALSE(age.accepts("-1"));
  Reader half = of_schema({{"type", "integer"}, {"minimum", 2.5}});
  EXPECT_TRUE(half.accepts("3"));
  EXPECT_FALSE(half.accepts("2"));
  Reader share = of_schema({{"minimum", 0}, {"maximum", 1}});
  EXPECT_TRUE(share.accepts("0.25"));
  EXPECT_TRUE(share.accepts("1.0"));
  EXPECT_FALSE(share.accepts("1.01"));
  EXPECT_FALSE(share.accepts("\"x\""));
  const auto error = [](const Json& schema) { return error_of([&] { json_schema_to_gbnf(schema.dump()); }); };
  EXPECT_NE(error({{"type", "number"}, {"minimum", 0.5}}).find("#/minimum"), std::string::npos);
  EXPECT_NE(error({{"type", "integer"}, {"minimum", 3}, {"maximum", 2}}).find("bounds"), std::string::npos);
  EXPECT_NE(error({{"type", "integer"}, {"minimum", "x"}}).find("#/minimum"), std::string::npos);
  EXPECT_NE(error({{"type", "integer"}, {"multipleOf", 2}}).find("multipleOf"), std::string::npos);
}

TEST(SchemaPattern, MatchesWhatARegularExpressionMatches) {
  const char* patterns[] = {
      "^[a-c]+$",      "^a?b{2,3}$", "abc",    "^(a|bc)*d$",     "a.c",      "^[^ab]$", "(?:ab)+c",
      "^\\d{2}-\\w+$", "\\.",        "^a*?b$", "^(?:a|b|c){3}$", "^$",       "b$",      "^\\s$",
      "[\\d_]b",       "^[a-]+$",    "^[-a]$", "a{0}b",          "^[]-a]?c$"};
  const std::string alphabet = "abcd-_.0 1";
  std::mt19937 random(3);
  for (const char* pattern : patterns) {
    if (std::string(pattern) == "^[]-a]?c$") continue;  // std::regex reads an empty class otherwise
    const std::regex expected(pattern, std::regex::ECMAScript);
    Reader reader(std::string("root ::= ") + pattern_to_gbnf(pattern));
    int matches = 0;
    for (int i = 0; i < 4000; ++i) {
      std::string text;
      for (std::size_t length = random() % 7; length > 0; --length)
        text += alphabet[random() % alphabet.size()];
      const bool match = std::regex_search(text, expected);
      matches += match ? 1 : 0;
      ASSERT_EQ(reader.accepts(text), match) << pattern << " on '" << text << "'";
    }
    EXPECT_GT(matches, 0) << pattern;
  }
}

TEST(SchemaPattern, QuotesAndControlsAreWrittenAsJsonWritesThem) {
  Reader quotes = of_schema({{"type", "string"}, {"pattern", "^[!-~]{2}$"}});
  for (const char* text : {R"("\"\"")", R"("a\\")", R"("!~")"}) EXPECT_TRUE(quotes.accepts(text)) << text;
  for (const char* text : {R"(""a")", R"("\a")", R"("a ")", "\"\\\\\""})
    EXPECT_FALSE(quotes.accepts(text)) << text;
  Reader any = of_schema({{"type", "string"}, {"pattern", "x"}});
  EXPECT_TRUE(any.accepts(R"("été x 中")"));
  EXPECT_FALSE(any.accepts("\"a\x01x\""));
  EXPECT_FALSE(any.accepts("\"no\""));
  Reader letters = of_schema({{"type", "string"}, {"pattern", "^[é-ü]+\\u4e2d$"}});
  EXPECT_TRUE(letters.accepts("\"éü中\""));
  EXPECT_FALSE(letters.accepts("\"e中\""));
}

TEST(SchemaPattern, WhatCannotBeAGrammarIsSaidWithItsPlace) {
  const auto error = [](const char* pattern) { return error_of([&] { pattern_to_gbnf(pattern); }); };
  for (const char* pattern :
       {"(?=a)b", "(?<!a)b", "a\\bb", "(a)\\1", "a^b", "a$b", "^a|b$", "\\p{L}", "\\cA"}) {
    EXPECT_NE(error(pattern).find("is not supported"), std::string::npos)
        << pattern << ": " << error(pattern);
  }
  for (const char* pattern : {"(a", "a)", "[a", "*a", "a\\", "[z-a]", "a{x}", "(?<n"}) {
    EXPECT_NE(error(pattern).find("pattern: "), std::string::npos) << pattern;
    EXPECT_EQ(error(pattern).find("is not supported"), std::string::npos) << pattern;
  }
  const std::string placed = error_of([] {
    json_schema_to_gbnf(
        R"x({"type": "object", "properties": {"x": {"type": "string", "pattern": "(?=a)"}}})x");
  });
  EXPECT_NE(placed.find("#/properties/x/pattern: "), std::string::npos) << placed;
  EXPECT_NE(error(std::string(60, '(').c_str()).find("levels"), std::string::npos);
}

TEST(SchemaCombinations, AllOfIsWhatAllAllow) {
  Reader both = of_schema(Json::parse(R"({"allOf": [
      {"type": "object", "required": ["a"], "properties": {"a": {"type": "number", "minimum": 2}}},
      {"required": ["b"], "properties": {"a": {"type": "integer", "maximum": 5}, "b": {"enum": [1, "x"]}}}]})"));
  EXPECT_TRUE(both.accepts(R"({"a":3,"b":1})"));
  EXPECT_FALSE(both.accepts(R"({"a":1,"b":1})"));
  EXPECT_FALSE(both.accepts(R"({"a":3.5,"b":1})"));
  EXPECT_FALSE(both.accepts(R"({"a":6,"b":1})"));
  EXPECT_FALSE(both.accepts(R"({"a":3})"));
  Reader enums = of_schema(Json::parse(R"({"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3, 4]}]})"));
  EXPECT_TRUE(enums.accepts("2"));
  EXPECT_FALSE(enums.accepts("1"));
}

TEST(SchemaCombinations, WhatStandsBesideHoldsToo) {
  Reader reader = of_schema(Json::parse(R"({"type": "object", "additionalProperties": false,
      "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
      "anyOf": [{"required": ["a"]}, {"required": ["b"]}]})"));
  EXPECT_TRUE(reader.accepts(R"({"a":1})"));
  EXPECT_TRUE(reader.accepts(R"({"b":1})"));
  EXPECT_FALSE(reader.accepts(R"({})"));
  EXPECT_FALSE(reader.accepts(R"({"c":1})"));
  Reader named = of_schema(Json::parse(
      R"({"$ref": "#/$defs/n", "maximum": 3, "$defs": {"n": {"type": "integer", "minimum": 1}}})"));
  EXPECT_TRUE(named.accepts("3"));
  EXPECT_FALSE(named.accepts("4"));
  EXPECT_FALSE(named.accepts("0"));
  Reader typed = of_schema(Json::parse(R"({"type": "string", "enum": ["a", 1]})"));
  EXPECT_TRUE(typed.accepts("\"a\""));
  EXPECT_FALSE(typed.accepts("1"));
  Reader implied = of_schema(Json::parse(R"({"minLength": 2})"));
  EXPECT_FALSE(implied.accepts("\"x\""));
  EXPECT_TRUE(implied.accepts("\"xy\""));
}

TEST(SchemaCombinations, ContradictionsAndEndlessOnesAreErrors) {
  const auto error = [](const char* schema) {
    return error_of([&] { parse_gbnf(json_schema_to_gbnf(schema)); });
  };
  for (
      const char* schema :
      {R"({"allOf": [{"type": "string"}, {"type": "integer"}]})",
       R"({"allOf": [{"enum": [1]}, {"enum": [2]}]})", R"({"allOf": [{"pattern": "a"}, {"pattern": "b"}]})",
       R"({"type": "integer", "const": "x"})", R"({"enum": ["a"], "minLength": 1})",
       R"({"type": "string", "pattern": "a", "minLength": 1})",
       R"({"allOf": [{"properties": {"a": {}}, "additionalProperties": false}, {"properties": {"b": {}}}]})"}) {
    EXPECT_NE(error(schema).find("JSON schema: #"), std::string::npos) << schema << error(schema);
  }
  EXPECT_NE(error(R"({"allOf": [{"$ref": "#"}]})"), "");
  EXPECT_NE(error(R"({"minimum": 1, "$ref": "#"})"), "");
  // Each level doubles: bounded by the number of schemas, not by their depth.
  std::string doubling = R"({"$defs": {"d0": {"type": "integer"})";
  for (int i = 1; i < 40; ++i) {
    const std::string below = R"({"minimum": 0, "$ref": "#/$defs/d)" + std::to_string(i - 1) + "\"}";
    doubling += ", \"d" + std::to_string(i) + R"(": {"anyOf": [)" + below + ", " + below + "]}";
  }
  EXPECT_NE(error((doubling + R"(}, "$ref": "#/$defs/d39", "minimum": 0})").c_str()).find("more than"),
            std::string::npos);
}

}  // namespace
}  // namespace tessera::engine
