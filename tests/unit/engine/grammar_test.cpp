#include "engine/grammar.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "engine/json_schema.h"
#include "support/error_of.h"

namespace tessera::engine {
namespace {

using tessera::testing::error_of;

enum class Reading { refused, unfinished, complete };

Reading read(Grammar& grammar, std::string_view text) {
  Grammar::State state = grammar.start();
  for (const char byte : text) {
    state = grammar.step(state, static_cast<std::uint8_t>(byte));
    if (state == Grammar::kDead) return Reading::refused;
  }
  return grammar.is_complete(state) ? Reading::complete : Reading::unfinished;
}

Reading read(std::string_view gbnf, std::string_view text) {
  Grammar grammar(parse_gbnf(gbnf));
  return read(grammar, text);
}

#define EXPECT_COMPLETE(gbnf, text) EXPECT_EQ(read(gbnf, text), Reading::complete) << (text)
#define EXPECT_REFUSED(gbnf, text) EXPECT_EQ(read(gbnf, text), Reading::refused) << (text)
#define EXPECT_UNFINISHED(gbnf, text) EXPECT_EQ(read(gbnf, text), Reading::unfinished) << (text)

TEST(Grammar, LiteralsAlternativesAndGroups) {
  const char* gbnf = "root ::= \"yes\" | \"no\" (\"!\" | \"?\")  # a comment";
  EXPECT_COMPLETE(gbnf, "yes");
  EXPECT_COMPLETE(gbnf, "no!");
  EXPECT_UNFINISHED(gbnf, "no");
  EXPECT_UNFINISHED(gbnf, "");
  EXPECT_REFUSED(gbnf, "yes!");
  EXPECT_REFUSED(gbnf, "maybe");
}

TEST(Grammar, Repetitions) {
  EXPECT_COMPLETE("root ::= \"a\"*", "");
  EXPECT_COMPLETE("root ::= \"a\"*", std::string(100'000, 'a'));
  EXPECT_UNFINISHED("root ::= \"ab\"+", "");
  EXPECT_COMPLETE("root ::= \"ab\"+", "abab");
  EXPECT_UNFINISHED("root ::= \"ab\"+", "aba");
  EXPECT_COMPLETE("root ::= [0-9]{2,4}", "1234");
  EXPECT_REFUSED("root ::= [0-9]{2,4}", "12345");
  EXPECT_UNFINISHED("root ::= [0-9]{2,4}", "1");
  EXPECT_COMPLETE("root ::= [0-9]{2,}", "123456789");
  EXPECT_COMPLETE("root ::= [0-9]{3}", "123");
  EXPECT_COMPLETE("root ::= [0-9]{0,2} \"x\"?", "");
  EXPECT_REFUSED("root ::= [0-9]{0}", "1");
}

TEST(Grammar, CharactersAreUnicode) {
  EXPECT_COMPLETE("root ::= [é-ü]+", "éêü");
  EXPECT_REFUSED("root ::= [é-ü]+", "è");
  EXPECT_COMPLETE("root ::= [^a-z\\\"]+", "日本🙂 Ω\n");
  EXPECT_REFUSED("root ::= [^a-z]+", "q");
  EXPECT_COMPLETE("root ::= \"\\u65e5\\U0001F642\\x41\\n\"", "日🙂A\n");
  EXPECT_COMPLETE("root ::= .", "🙂");
  EXPECT_REFUSED("root ::= .", "\xFF");
  EXPECT_REFUSED("root ::= .", "\xC0\x80");          // too long for its character
  EXPECT_REFUSED("root ::= .", "\xED\xA0\x80");      // a surrogate
  EXPECT_REFUSED("root ::= .", "\xF4\x90\x80\x80");  // beyond Unicode
  EXPECT_UNFINISHED("root ::= .", "\xF0\x9F");
}

// Every character against the class that names it by its neighbours.
TEST(Grammar, RangesHoldExactlyTheirCharacters) {
  std::mt19937 generator(3);
  const auto random = [&] { return static_cast<std::uint32_t>(generator()); };
  const auto encode = [](std::uint32_t c) {
    std::string text;
    if (c < 0x80) {
      text += static_cast<char>(c);
    } else if (c < 0x800) {
      text += static_cast<char>(0xC0 | c >> 6);
      text += static_cast<char>(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
      text += static_cast<char>(0xE0 | c >> 12);
      text += static_cast<char>(0x80 | (c >> 6 & 0x3F));
      text += static_cast<char>(0x80 | (c & 0x3F));
    } else {
      text += static_cast<char>(0xF0 | c >> 18);
      text += static_cast<char>(0x80 | (c >> 12 & 0x3F));
      text += static_cast<char>(0x80 | (c >> 6 & 0x3F));
      text += static_cast<char>(0x80 | (c & 0x3F));
    }
    return text;
  };
  const auto is_surrogate = [](std::uint32_t c) { return c >= 0xD800 && c <= 0xDFFF; };
  for (int round = 0; round < 60; ++round) {
    const int bits = 7 + static_cast<int>(random() % 15);
    std::uint32_t first = random() % std::min<std::uint32_t>(1U << bits, 0x110000);
    std::uint32_t last = std::min<std::uint32_t>(first + random() % (1U << (bits - 2)), 0x10FFFF);
    if (is_surrogate(first) || is_surrogate(last)) continue;
    const std::string range = fmt::format("\\U{:08X}-\\U{:08X}", first, last);
    Grammar inside(parse_gbnf("root ::= [" + range + "]"));
    Grammar outside(parse_gbnf("root ::= [^" + range + "]"));
    for (int i = 0; i < 400; ++i) {
      std::uint32_t c = i % 4 == 0   ? first + random() % (last - first + 1)
                        : i % 4 == 1 ? first - 1 + random() % 3
                        : i % 4 == 2 ? last - 1 + random() % 3
                                     : random() % 0x110000;
      if (c > 0x10FFFF || is_surrogate(c)) continue;
      const bool belongs = c >= first && c <= last;
      ASSERT_EQ(read(inside, encode(c)) == Reading::complete, belongs) << range << " " << c;
      ASSERT_EQ(read(outside, encode(c)) == Reading::complete, !belongs) << range << " " << c;
    }
  }
}

TEST(Grammar, RulesMayNestAndRecurToTheRight) {
  const char* gbnf = R"GBNF(
root  ::= expression
expression ::= term ([-+] term)*
term ::= number | "(" expression ")"
number ::= [0-9]+
)GBNF";
  EXPECT_COMPLETE(gbnf, "1+(2-(3+4))-55");
  EXPECT_UNFINISHED(gbnf, "1+(2-(3+4)");
  EXPECT_REFUSED(gbnf, "1+)");
  // Nesting has a floor: the text cannot go deeper, and nothing overflows.
  Grammar grammar(parse_gbnf(gbnf));
  EXPECT_EQ(read(grammar, std::string(100, '(') + "1" + std::string(100, ')')), Reading::complete);
  EXPECT_EQ(read(grammar, std::string(100'000, '(')), Reading::refused);
}

TEST(Grammar, TheSamePlaceIsTheSameState) {
  Grammar grammar(parse_gbnf("root ::= \"[\" ([a-z]+ (\",\" [a-z]+)*)? \"]\""));
  std::string text = "[ab,cd,ef";
  for (int i = 0; i < 10'000; ++i) text += ",xyz";
  EXPECT_EQ(read(grammar, text + "]"), Reading::complete);
  EXPECT_LT(grammar.state_count(), 20);
}

TEST(Grammar, MistakesAreNamedWithTheirPlace) {
  const auto error = [](std::string_view gbnf) { return error_of([&] { parse_gbnf(gbnf); }); };
  EXPECT_NE(error("root ::= \"a\n").find("line 1, column 10"), std::string::npos);
  EXPECT_NE(error("root ::= a\na = b").find("line 2, column 3"), std::string::npos)
      << error("root ::= a\na = b");
  EXPECT_NE(error("root ::= missing").find("no rule 'missing'"), std::string::npos);
  EXPECT_NE(error("other ::= \"a\"").find("root"), std::string::npos);
  EXPECT_NE(error("root ::= root \"a\" | \"b\"").find("'root' can begin with itself"), std::string::npos);
  EXPECT_NE(error("root ::= \"x\"? a\na ::= b\nb ::= \"y\"* root").find("begin with itself"),
            std::string::npos);
  EXPECT_NE(error("root ::= (\"a\"*)*").find("root"), std::string::npos);
  EXPECT_NE(error("root ::= \"a\"\nroot ::= \"b\"").find("twice"), std::string::npos);
  EXPECT_NE(error("root ::= [z-a]").find("before it begins"), std::string::npos);
  EXPECT_NE(error("root ::= \"\\q\"").find("\\n"), std::string::npos);
  EXPECT_NE(error("root ::= \"\\ud800\"").find("Unicode"), std::string::npos);
  EXPECT_NE(error("root ::= (\"a\"").find("')'"), std::string::npos);
  EXPECT_NE(error("root ::= \"\xFF\"").find("UTF-8"), std::string::npos);
}

TEST(Grammar, HostileSizesAreRefused) {
  const auto error = [](const std::string& gbnf) { return error_of([&] { Grammar(parse_gbnf(gbnf)); }); };
  EXPECT_NE(error("root ::= " + std::string(100'000, '(') + "\"a\"").find("nested"), std::string::npos);
  EXPECT_NE(error("root ::= \"a\"{1000000}").find("repetitions"), std::string::npos);
  std::string many = "root ::= ";
  for (int i = 0; i < 60; ++i) many += "\"a\"{9999} ";
  EXPECT_NE(error(many).find("symbols"), std::string::npos);
  std::string chain = "root ::= r0\n";  // 10,000 rules, each beginning with the next
  for (int i = 0; i < 10'000; ++i) chain += fmt::format("r{} ::= r{}\n", i, i + 1);
  chain += "r10000 ::= \"x\"";
  Grammar grammar(parse_gbnf(chain));
  EXPECT_EQ(read(grammar, "x"), Reading::complete);
}

// A grammar that can be read in very many ways at once is an error, not a hang.
TEST(Grammar, AmbiguityIsBounded) {
  std::string gbnf = "root ::= r0\n";
  for (int i = 0; i < 40; ++i)
    gbnf += fmt::format("r{} ::= \"a\" r{} | \"a\" r{} \"b\" | \"a\" r{} \"c\"\n", i, i + 1, i + 1, i + 1);
  gbnf += "r40 ::= \"x\"";
  Grammar grammar(parse_gbnf(gbnf));
  const std::string error = error_of([&] { read(grammar, std::string(40, 'a')); });
  EXPECT_NE(error.find("grammar: more than"), std::string::npos) << error;
}

Reading read_json(std::string_view schema, std::string_view text) {
  return read(json_schema_to_gbnf(schema), text);
}

TEST(JsonSchema, AnyJson) {
  for (const char* text : {"{}", "[]", "\"\"", "0", "-1.5e+10", "true", "null", "[1, [2, {\"a\": {}}]]",
                           R"({"k": "v\n\u00e9 \ud7ff é日🙂", "l": [false]})", "{\n  \"a\": 1\n}"}) {
    EXPECT_EQ(read_json("{}", text), Reading::complete) << text;
  }
  for (const char* text :
       {"{a: 1}", "01", "[1,]", "tru", "\"\n\"", "\"\\ud800\"", "{\"a\" 1}", "+1", "\"\\x\""}) {
    EXPECT_NE(read_json("{}", text), Reading::complete) << text;
  }
}

TEST(JsonSchema, ObjectsHaveTheirPropertiesInOrder) {
  const char* schema = R"({"type": "object", "title": "A person",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "nick": {"type": ["string", "null"]}},
    "required": ["name", "nick"]})";
  EXPECT_EQ(read_json(schema, R"({"name": "Ann", "age": 7, "nick": null})"), Reading::complete);
  EXPECT_EQ(read_json(schema, R"({"name":"Ann","nick":"A"})"), Reading::complete);
  EXPECT_EQ(read_json(schema, R"({"name": "Ann"})"), Reading::refused);
  EXPECT_EQ(read_json(schema, R"({"age": 7)"), Reading::refused);
  EXPECT_EQ(read_json(schema, R"({"name": 7)"), Reading::refused);
  EXPECT_EQ(read_json(schema, R"({"name": "A", "nick": null, "more": 1})"), Reading::refused);
  const char* optional = R"({"type": "object", "properties": {"a": {}, "b": {}}})";
  for (const char* text : {"{}", R"({"a": 1})", R"({"b": 1})", R"({"a": 1, "b": []})"}) {
    EXPECT_EQ(read_json(optional, text), Reading::complete) << text;
  }
  EXPECT_EQ(read_json(optional, R"({, "b": 1})"), Reading::refused);
  const char* open =
      R"({"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "boolean"}})";
  EXPECT_EQ(read_json(open, R"({"a": 1, "x": true, "y": false})"), Reading::complete);
  EXPECT_EQ(read_json(open, R"({"x": true})"), Reading::complete);
  EXPECT_EQ(read_json(open, R"({"x": 1})"), Reading::refused);
  const char* quoted = R"({"type": "object", "properties": {"a\"b\\c\n": {"const": "x\"y"}}})";
  EXPECT_EQ(read_json(quoted, R"({"a\"b\\c\n": "x\"y"})"), Reading::complete);
}

TEST(JsonSchema, ArraysAndTheirCounts) {
  const char* schema = R"({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3})";
  EXPECT_EQ(read_json(schema, "[1]"), Reading::refused);
  EXPECT_EQ(read_json(schema, "[1, 2]"), Reading::complete);
  EXPECT_EQ(read_json(schema, "[1,2,3]"), Reading::complete);
  EXPECT_EQ(read_json(schema, "[1,2,3,4]"), Reading::refused);
  EXPECT_EQ(read_json(R"({"type": "array", "maxItems": 1})", "[]"), Reading::complete);
  EXPECT_EQ(read_json(R"({"type": "array", "maxItems": 0})", "[1]"), Reading::refused);
  const char* pair =
      R"({"prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2})";
  EXPECT_EQ(read_json(pair, R"([1, "a"])"), Reading::complete);
  EXPECT_EQ(read_json(pair, R"(["a", 1])"), Reading::refused);
}

TEST(JsonSchema, EnumerationsUnionsAndReferences) {
  EXPECT_EQ(read_json(R"({"enum": ["red", 3, null]})", "\"red\""), Reading::complete);
  EXPECT_EQ(read_json(R"({"enum": ["red", 3, null]})", "\"blue\""), Reading::refused);
  EXPECT_EQ(read_json(R"({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 2}]})", "\"ab\""),
            Reading::complete);
  EXPECT_EQ(read_json(R"({"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 2}]})", "\"abc\""),
            Reading::refused);
  const char* tree = R"({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object",
    "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    "required": ["value"]}}})";
  EXPECT_EQ(read_json(tree, R"({"value": 1, "children": [{"value": 2}, {"value": 3, "children": []}]})"),
            Reading::complete);
  EXPECT_EQ(read_json(tree, R"({"value": 1, "children": [{"children"})"), Reading::refused);
}

TEST(JsonSchema, WhatIsNotSupportedIsSaid) {
  const auto error = [](std::string_view schema) { return error_of([&] { json_schema_to_gbnf(schema); }); };
  EXPECT_NE(error(R"({"properties": {"x": {"type": "object", "patternProperties": {}}}})")
                .find("#/properties/x: keyword 'patternProperties'"),
            std::string::npos);
  EXPECT_NE(error("{").find("expected JSON"), std::string::npos);
  EXPECT_NE(error("7").find("#: expected a schema"), std::string::npos);
  EXPECT_NE(error(R"({"type": "text"})").find("#/type: expected object, array"), std::string::npos);
  EXPECT_NE(error(R"({"$ref": "other.json"})").find("this document"), std::string::npos);
  EXPECT_NE(error(R"({"$ref": "#/$defs/none"})").find("none"), std::string::npos);
  EXPECT_NE(error(R"({"type": "string", "minLength": -1})").find("minLength"), std::string::npos);
  EXPECT_NE(error(R"({"allOf": []})").find("allOf"), std::string::npos);
  std::string deep = "{}";
  for (int i = 0; i < 1000; ++i) deep = R"({"items": )" + deep + "}";
  EXPECT_NE(error(deep).find("levels"), std::string::npos);
}

}  // namespace
}  // namespace tessera::engine
