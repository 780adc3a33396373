// Many kinds of tokenizer.json against the ids and texts of Hugging Face `tokenizers`
// (tools/make_golden_tokenizers.py).
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "support/test_paths.h"
#include "text/tokenizer.h"

namespace tessera::text {
namespace {

const nlohmann::json& golden() {
  static const nlohmann::json content = [] {
    std::ifstream file(testing::golden_dir() / "tokenizers" / "golden.json");
    return nlohmann::json::parse(file);
  }();
  return content;
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& [name, rows] : golden().at("cases").items()) names.push_back(name);
  return names;
}

std::unique_ptr<Tokenizer> load_case(const std::string& name) {
  return load_tokenizer_json((testing::golden_dir() / "tokenizers" / name / "tokenizer.json").string());
}

class TokenizerGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(TokenizerGolden, EncodesAndDecodesAsTheReference) {
  const auto tokenizer = load_case(GetParam());
  const auto& texts = golden().at("texts");
  const auto& rows = golden().at("cases").at(GetParam());
  ASSERT_EQ(texts.size(), rows.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    const auto& row = rows[i];
    const auto ids = row.at("ids").get<std::vector<TokenId>>();
    const auto special = row.value("special", ids);
    SCOPED_TRACE("text " + std::to_string(i) + ": '" + printable(text, 200) + "'");
    EXPECT_EQ(tokenizer->encode(text, {.add_special_tokens = false}), ids);
    EXPECT_EQ(tokenizer->encode(text, {.add_special_tokens = false, .parse_special = true}), special);
    auto around = special;
    if (row.contains("around")) {
      const auto before = row["around"][0].get<std::vector<TokenId>>();
      const auto after = row["around"][1].get<std::vector<TokenId>>();
      around.insert(around.begin(), before.begin(), before.end());
      around.insert(around.end(), after.begin(), after.end());
    }
    EXPECT_EQ(tokenizer->encode(text, {.parse_special = true}), around);
    EXPECT_EQ(tokenizer->decode(ids), row.value("text", text));
    if (row.contains("special_text")) {
      EXPECT_EQ(tokenizer->decode(special, true), row["special_text"].get<std::string>());
    }
  }
}

// What is streamed is what decoding all at once gives, where no token's text depends on what follows it.
TEST_P(TokenizerGolden, StreamsWhatItDecodes) {
  if (GetParam() == "clip-like" || GetParam() == "bert-like")
    GTEST_SKIP() << "the last token decodes by itself";
  const auto tokenizer = load_case(GetParam());
  for (const auto& text : golden().at("texts")) {
    const auto ids = tokenizer->encode(text.get<std::string>(), {.add_special_tokens = false});
    StreamDecoder stream(*tokenizer, false, true);
    std::string streamed;
    for (const TokenId id : ids) streamed += stream.push(id);
    streamed += stream.finish();
    EXPECT_EQ(streamed, tokenizer->decode(ids)) << printable(text.get<std::string>());
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerGolden, ::testing::ValuesIn(case_names()), [](const auto& one) {
  std::string name = one.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace tessera::text
