#include "engine/token_grammar.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/json_schema.h"
#include "engine_fixture.h"

namespace tessera::engine {
namespace {

using testing::Collected;
using testing::kImEnd;
using testing::kMerged;
using testing::toy;
using testing::ToyTokenizer;

std::shared_ptr<const TokenGrammar> grammar_of(std::string_view gbnf) {
  return std::make_shared<const TokenGrammar>(
      parse_gbnf(gbnf), std::make_shared<const TokenBytes>(ToyTokenizer()), std::vector<TokenId>{kImEnd});
}

bool allows(const TokenMask& mask, TokenId token) {
  return (mask[static_cast<std::size_t>(token) / 64] >> (static_cast<std::size_t>(token) % 64) & 1U) != 0;
}

TEST(TokenGrammar, TokensOfSeveralBytesAndTheEnd) {
  const auto grammar = grammar_of("root ::= \"a\" \"b\"? \"c\"*");
  const auto first = grammar->mask(grammar->start());
  EXPECT_TRUE(allows(*first, 'a'));
  EXPECT_TRUE(allows(*first, kMerged));  // "ab"
  EXPECT_FALSE(allows(*first, 'b'));
  EXPECT_FALSE(allows(*first, kImEnd));
  const auto state = grammar->accept(grammar->start(), kMerged);
  const auto second = grammar->mask(state);
  EXPECT_TRUE(allows(*second, 'c'));
  EXPECT_TRUE(allows(*second, kImEnd));
  EXPECT_FALSE(allows(*second, 'b'));
  EXPECT_FALSE(grammar->is_exhausted(state));
  EXPECT_THROW(grammar->accept(state, 'x'), Error);
  EXPECT_THROW(grammar->accept(state, kImEnd), Error);
  const auto single = grammar_of("root ::= \"a\"");
  EXPECT_TRUE(single->is_exhausted(single->accept(single->start(), 'a')));
}

// Each token tried alone, byte by byte, along texts that the grammar leads to.
TEST(TokenGrammar, TheMaskIsWhatEachTokenSaysAlone) {
  const std::string gbnf =
      json_schema_to_gbnf(R"({"type": "object", "additionalProperties": {"type": "integer"}})");
  const auto grammar = grammar_of(gbnf);
  const ToyTokenizer tokenizer;
  std::mt19937 random(5);
  for (int text = 0; text < 20; ++text) {
    Grammar alone(parse_gbnf(gbnf));
    Grammar::State state = alone.start();
    TokenGrammar::State token_state = grammar->start();
    for (int length = 0; length < 30; ++length) {
      const auto mask = grammar->mask(token_state);
      std::vector<TokenId> possible;
      for (TokenId token = 0; token < 260; ++token) {
        Grammar::State next = state;
        for (const char byte : tokenizer.token_bytes(token))
          next = alone.step(next, static_cast<std::uint8_t>(byte));
        const bool is_text = tokenizer.token_kind(token) == text::TokenKind::normal;
        const bool fits = token == kImEnd ? alone.is_complete(state) : is_text && next != Grammar::kDead;
        ASSERT_EQ(allows(*mask, token), fits) << token;
        if (fits && token != kImEnd) possible.push_back(token);
      }
      if (possible.empty()) break;
      const TokenId chosen = possible[random() % possible.size()];
      for (const char byte : tokenizer.token_bytes(chosen))
        state = alone.step(state, static_cast<std::uint8_t>(byte));
      token_state = grammar->accept(token_state, chosen);
    }
  }
}

constexpr const char* kSchema = R"({"type": "object", "properties": {
  "name": {"type": "string", "maxLength": 4}, "age": {"type": "integer"}, "color": {"enum": ["red", "blue"]},
  "flags": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}}, "required": ["name", "age", "color", "flags"]})";

void expect_fits_schema(const std::string& text) {
  const auto value = nlohmann::json::parse(text, nullptr, false);
  ASSERT_TRUE(value.is_object()) << text;
  EXPECT_EQ(value.size(), 4U) << text;
  EXPECT_TRUE(value["name"].is_string() && value["age"].is_number_integer()) << text;
  EXPECT_TRUE(value["color"] == "red" || value["color"] == "blue") << text;
  EXPECT_TRUE(value["flags"].is_array() && value["flags"].size() <= 3) << text;
}

// A model that says whatever comes to its mind says JSON, alone and among others, with guesses and without.
TEST(TokenGrammar, WhateverTheModelWantsTheTextFollowsTheSchema) {
  const auto grammar = grammar_of(json_schema_to_gbnf(kSchema));
  Collected run({.context_size = 512, .scheduler = {.max_batch_tokens = 64, .max_sequences = 6}});
  std::vector<EngineRequest> requests;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    EngineRequest asked;
    asked.request.prompt = testing::bytes_of("json:");
    asked.request.sampling = {.temperature = seed == 0 ? 0.0F : 5.0F, .seed = seed};
    asked.request.grammar = grammar;
    asked.request.speculative = {.prompt_lookup = seed % 2 == 0, .least_gain = 0};
    asked.request.ignore_end_of_generation = seed % 3 == 0;
    requests.push_back(asked);
    run.add(asked);
  }
  run.finish();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const GenerationResult& result = run.result(i + 1);
    EXPECT_EQ(result.finish_reason, FinishReason::stop);
    expect_fits_schema(result.text);
    testing::expect_same_text(result, testing::alone(requests[i], 512).front());
  }
}

TEST(TokenGrammar, ABiasAgainstEverythingThatFitsIsAnErrorOfThatRequestAlone) {
  Collected run({.context_size = 64, .scheduler = {.max_batch_tokens = 64, .max_sequences = 4}});
  EngineRequest asked = testing::letters("x", 1, 5);  // letters a to d only
  asked.request.grammar = grammar_of("root ::= [0-9]+");
  const RequestId bad = run.add(asked);
  const RequestId good = run.add(testing::letters("x", 1, 5));
  run.finish();
  EXPECT_NE(run.errors.at({bad, 0}), "");
  EXPECT_EQ(run.errors.at({good, 0}), "");
  EXPECT_EQ(run.result(good).usage.completion_tokens, 5);
  run.expect_nothing_held();
}

}  // namespace
}  // namespace tessera::engine
