// Tokens of an answer as the store keeps them: what goes in comes out, and bytes of another kind are refused.
#include "serve/token_record.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "unit/engine/toy_text.h"

namespace tessera::serve {
namespace {

TEST(TokenRecord, GivesBackWhatWentIn) {
  std::mt19937 random(3);
  std::vector<ShownToken> tokens;
  TokenRecord record;
  for (int i = 0; i < 200; ++i) {
    const auto text = [&] { return std::string(random() % 300, static_cast<char>('a' + random() % 26)); };
    const auto logprob = [&] { return -static_cast<double>(random() % 100000) / 777; };
    ShownToken token{.text = text(), .logprob = logprob()};
    for (std::size_t k = random() % 7; k > 0; --k) token.top.push_back({text(), logprob()});
    tokens.push_back(token);
    record.add({token});
  }
  const auto read = read_token_record(record.bytes());
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    EXPECT_EQ((*read)[i].text, tokens[i].text);
    EXPECT_NEAR((*read)[i].logprob, tokens[i].logprob, 5.01e-4);  // half a step
    ASSERT_EQ((*read)[i].top.size(), tokens[i].top.size());
    for (std::size_t k = 0; k < tokens[i].top.size(); ++k) {
      EXPECT_EQ((*read)[i].top[k].text, tokens[i].top[k].text);
      EXPECT_NEAR((*read)[i].top[k].logprob, tokens[i].top[k].logprob, 5.01e-4);
    }
  }
}

TEST(TokenRecord, IsSmallAndHasAnEnd) {
  TokenRecord record;
  record.add({{.text = " the", .logprob = -0.1, .top = {{" the", -0.1}, {" a", -2.5}}}});
  EXPECT_LE(record.bytes().size(), 20U);
  EXPECT_TRUE(TokenRecord().bytes().empty());
  for (int i = 0; i < 20; ++i) record.add({{.text = std::string(1 << 20, 'x')}});
  EXPECT_TRUE(record.bytes().empty());  // more than a store should keep
  record.add({{.text = "y"}});
  EXPECT_TRUE(record.bytes().empty());
}

TEST(TokenRecord, ImpossibleTokensStayImpossible) {
  TokenRecord record;
  record.add({{.text = "x",
               .logprob = -std::numeric_limits<double>::infinity(),
               .top = {{"y", std::numeric_limits<double>::quiet_NaN()}, {"z", 0.001}}}});
  const auto read = read_token_record(record.bytes());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->front().logprob, -1000);
  EXPECT_EQ(read->front().top[0].logprob, 0);
  EXPECT_EQ(read->front().top[1].logprob, 0);
}

TEST(TokenRecord, OtherBytesAreRefused) {
  TokenRecord record;
  record.add({{.text = "word", .logprob = -1, .top = {{"word", -1}, {"other", -2}}}});
  const std::string& whole = record.bytes();
  EXPECT_FALSE(read_token_record(""));
  EXPECT_FALSE(read_token_record("\x02" + whole.substr(1)));
  for (std::size_t length = 2; length < whole.size(); ++length) {
    EXPECT_FALSE(read_token_record(whole.substr(0, length))) << length;
  }
  std::mt19937 random(9);
  for (int i = 0; i < 2000; ++i) {  // whatever comes out, nothing breaks
    std::string bytes = whole;
    bytes[1 + random() % (bytes.size() - 1)] = static_cast<char>(random());
    read_token_record(bytes);
  }
}

TEST(ShownTokens, ACharacterOfSeveralTokensBelongsToTheLast) {
  const auto loaded = engine::testing::loaded_with(std::make_shared<engine::testing::ToyModel>());
  engine::GeneratedPiece piece{.text = "a\u00e9b", .tokens = {}};
  for (const int byte : {0x61, 0xc3, 0xa9, 0x62}) piece.tokens.push_back({.token = byte});
  std::vector<std::string> texts;
  for (const ShownToken& token : shown_tokens(piece, *loaded->tokenizer)) texts.push_back(token.text);
  EXPECT_EQ(texts, (std::vector<std::string>{"a", "", "\u00e9", "b"}));
}

}  // namespace
}  // namespace tessera::serve
