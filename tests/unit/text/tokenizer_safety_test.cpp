// What must hold for every tokenizer: control tokens only where asked for, hostile files refused, long runs
// in linear time on a constant stack, streams without half characters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "base/error.h"
#include "support/test_paths.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace tessera::text {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string read_case(const std::string& name) {
  return read_file((testing::golden_dir() / "tokenizers" / name / "tokenizer.json").string());
}

std::unique_ptr<Tokenizer> load_text(std::string content) {
  return read_tokenizer_json(MappedFile::from_bytes("bad.json", std::move(content)));
}

std::vector<std::string> all_cases() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(testing::golden_dir() / "tokenizers")) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::size_t count_control(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  return static_cast<std::size_t>(std::count_if(ids.begin(), ids.end(), [&](TokenId id) {
    return tokenizer.token_kind(id) == TokenKind::control && tokenizer.token_text(id) != "<unk>";
  }));
}

TEST(TokenizerSafety, TypedTextNeverBecomesAControlToken) {
  const std::vector<std::string> parts = {
      "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|im_",  "start|>",      "<",     "|>",
      " ",   "a",    "\n",           "<mask>",     "<keep>", "\xe2\x96\x81", "<unk>", "\xcc\x81"};
  std::mt19937 random(5);
  for (const std::string& name : all_cases()) {
    const auto tokenizer = load_text(read_case(name));
    for (int round = 0; round < 200; ++round) {
      std::string typed;
      for (int i = 0; i < 6; ++i) typed += parts[random() % parts.size()];
      EXPECT_EQ(count_control(*tokenizer, tokenizer->encode(typed, {.add_special_tokens = false})), 0U)
          << name << typed;
      // The same inside a template: two control tokens stand around it, and no other is there.
      const std::string prompt = "<|im_start|>" + typed + "<|im_end|>";
      const std::vector<TextRange> literal = {{12, 12 + typed.size()}};
      const auto ids = tokenizer->encode(
          prompt, {.add_special_tokens = false, .parse_special = true, .literal_ranges = literal});
      EXPECT_EQ(count_control(*tokenizer, ids), 2U) << name << ": " << prompt;
    }
  }
}

TEST(TokenizerSafety, LiteralRangesHoldInNormalizedTextToo) {
  // Control tokens that are looked for behind the normalizer, which prepends and replaces.
  auto content = nlohmann::json::parse(read_case("llama2"));
  for (auto& token : content["added_tokens"]) token["normalized"] = true;
  content["normalizer"] = nlohmann::json::parse(R"({"type":"Sequence","normalizers":[{"type":"NFKC"},
      {"type":"Replace","pattern":{"String":" "},"content":"\u2581"}]})");
  const auto tokenizer = load_text(content.dump());
  const std::string typed = " <s> \xef\xac\x81 </s>";
  const std::string prompt = "<s>" + typed + "</s>";
  const std::vector<TextRange> literal = {{3, 3 + typed.size()}};
  const auto ids = tokenizer->encode(
      prompt, {.add_special_tokens = false, .parse_special = true, .literal_ranges = literal});
  EXPECT_EQ(count_control(*tokenizer, ids), 2U);
  EXPECT_EQ(count_control(*tokenizer,
                          tokenizer->encode(prompt, {.add_special_tokens = false, .parse_special = true})),
            4U);
}

TEST(TokenizerSafety, LongRunsOfEveryClass) {
  const std::vector<std::string> units = {
      " ",        "\n",           "\t",           "\xc2\xa0",         "a",    "A", "7",  ".",
      "\xcc\x81", "\xe4\xb8\xad", "\xe2\x82\xac", "\xf0\x9f\xa6\x99", "\x01", "'", " x", "\xcc\x81\xcc\xa3",
      "<",        "\r\n"};
  constexpr std::size_t kBytes = 20'000;
  for (const std::string& name : all_cases()) {
    const auto tokenizer = load_text(read_case(name));
    for (const std::string& unit : units) {
      std::string text;
      while (text.size() < kBytes) text += unit;
      const auto ids = tokenizer->encode(text, {.add_special_tokens = false});
      EXPECT_LE(ids.size(), 4 * text.size()) << name;
      if (name == "gpt2" || name == "llama3" || name == "gpt4o") {
        EXPECT_EQ(tokenizer->decode(ids), text) << name;
      }
    }
  }
}

TEST(TokenizerSafety, InvalidUtf8IsReadAsReplacementCharacters) {
  const auto tokenizer = load_text(read_case("gpt2"));
  const std::string bad = "a\xff\xe4\xb8z\xf0\x9f\xa6";
  EXPECT_EQ(tokenizer->encode(bad), tokenizer->encode("a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd"));
  // Ranges move along with the text they are about.
  const std::string prompt = "\xff<s>\xff<s>";
  const std::vector<TextRange> literal = {{1, 5}};
  const auto ids = tokenizer->encode(
      prompt, {.add_special_tokens = false, .parse_special = true, .literal_ranges = literal});
  EXPECT_EQ(count_control(*tokenizer, ids), 1U);
  EXPECT_EQ(ids.back(), tokenizer->find_token("<s>"));
}

TEST(TokenizerSafety, StreamsNeverHoldHalfACharacter) {
  const auto tokenizer = load_text(read_case("gpt2"));
  const std::string text = "\xf0\x9f\xa6\x99 \xe4\xb8\xad\xe6\x96\x87 caf\xc3\xa9";
  const auto ids = tokenizer->encode(text);
  StreamDecoder stream(*tokenizer);
  std::string all;
  for (const TokenId id : ids) {
    const std::string part = stream.push(id);
    EXPECT_TRUE(is_valid_utf8(part));
    all += part;
  }
  EXPECT_EQ(all + stream.finish(), text);
  stream.push(ids.front());
  EXPECT_EQ(stream.finish(), "\xef\xbf\xbd") << "an unfinished character";
}

std::string error_of(std::string content, ErrorKind kind) {
  try {
    load_text(std::move(content));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "no error";
}

// The golden case `name` with `change` applied.
template <typename Change>
std::string spoilt(const std::string& name, Change&& change) {
  auto content = nlohmann::json::parse(read_case(name));
  change(content);
  return content.dump();
}

TEST(TokenizerSafety, UnknownKindsAreNamedWithTheirPlace) {
  using Json = nlohmann::json;
  const Json kind = {{"type", "NoSuchKind"}};
  for (const char* part : {"normalizer", "pre_tokenizer", "post_processor", "decoder", "model"}) {
    EXPECT_THAT(
        error_of(spoilt("gpt2", [&](Json& json) { json[part] = kind; }), ErrorKind::unsupported),
        AllOf(HasSubstr("bad.json: key '"), HasSubstr(part), HasSubstr("at byte"), HasSubstr("NoSuchKind")));
  }
  EXPECT_THAT(
      error_of(spoilt("falcon", [&](Json& json) { json["pre_tokenizer"]["pretokenizers"][2] = kind; }),
               ErrorKind::unsupported),
      HasSubstr("pre_tokenizer.pretokenizers[2].type"));
  for (const char* model : {"WordPiece", "WordLevel"}) {
    EXPECT_THAT(
        error_of(spoilt("gpt2", [&](Json& json) { json["model"]["type"] = model; }), ErrorKind::unsupported),
        HasSubstr(model));
  }
  EXPECT_THAT(error_of(spoilt("qwen2",
                              [](Json& json) {
                                json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] =
                                    "[a-z&&[^b]]+";
                              }),
                       ErrorKind::unsupported),
              HasSubstr("intersection"));
  EXPECT_THAT(
      error_of(spoilt("qwen2", [](Json& json) { json["model"]["dropout"] = 0.1; }), ErrorKind::unsupported),
      HasSubstr("dropout"));
}

TEST(TokenizerSafety, HostileVocabulariesAreRefused) {
  using Json = nlohmann::json;
  for (const Json& id : {Json(2147483648), Json(2000000000), Json(-1), Json(1.5), Json("7"), Json()}) {
    EXPECT_THAT(
        error_of(spoilt("gpt2", [&](Json& json) { json["model"]["vocab"]["a"] = id; }), ErrorKind::bad_input),
        AllOf(HasSubstr("model.vocab.a"), HasSubstr("at byte"), HasSubstr(id.dump())));
  }
  EXPECT_THAT(
      error_of(spoilt("gpt2", [](Json& json) { json["model"]["vocab"]["a"] = json["model"]["vocab"]["b"]; }),
               ErrorKind::bad_input),
      HasSubstr("an id of its own"));
  EXPECT_THAT(error_of(spoilt("gpt2", [](Json& json) { json["model"]["merges"][3] = {"no", "token"}; }),
                       ErrorKind::bad_input),
              AllOf(HasSubstr("model.merges[3]"), HasSubstr("no")));
  for (const Json& merge : {Json("ab"), Json("a b c"), Json(7), Json::array({"a"}), Json::array({"a", 1})}) {
    EXPECT_THAT(error_of(spoilt("gpt2", [&](Json& json) { json["model"]["merges"][0] = merge; }),
                         ErrorKind::bad_input),
                HasSubstr("model.merges[0]"));
  }
  EXPECT_THAT(error_of(spoilt("llama2", [](Json& json) { json["model"]["unk_token"] = "absent"; }),
                       ErrorKind::bad_input),
              HasSubstr("model.unk_token"));
  EXPECT_THAT(
      error_of(spoilt("gpt2", [](Json& json) { json["added_tokens"][0] = {{"content", "new"}, {"id", 5}}; }),
               ErrorKind::bad_input),
      HasSubstr("added_tokens[0].id"));
  EXPECT_THAT(error_of(spoilt("llama3",
                              [](Json& json) {
                                json["post_processor"]["processors"][1]["special_tokens"]["<s>"]["ids"][0] =
                                    1 << 30;
                              }),
                       ErrorKind::bad_input),
              HasSubstr("special_tokens.<s>.ids[0]"));
}

TEST(TokenizerSafety, TruncationAnywhereIsAnError) {
  const std::string content = read_case("llama2");
  for (std::size_t size = 0; size + 2 < content.size(); size += 97) {
    EXPECT_THAT(error_of(content.substr(0, size), ErrorKind::bad_input),
                AllOf(HasSubstr("bad.json"), HasSubstr("byte")));
  }
  EXPECT_THAT(error_of(std::string(100'000, '['), ErrorKind::bad_input), HasSubstr("bad.json"));
}

TEST(TokenizerSafety, ConfigurationsTellBosEosAndWhatEndsAGeneration) {
  const auto tokenizer = read_tokenizer_json(
      MappedFile::from_bytes("t.json", read_case("llama2")),
      MappedFile::from_bytes(
          "c.json", R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": false, "add_eos_token": true,
        "model_max_length": 1000000000000000019884624838656, "bos_token": "<s>", "eos_token": {"content": "</s>"}})"),
      MappedFile::from_bytes("g.json", R"({"eos_token_id": [2, 5, 100000]})"));
  EXPECT_EQ(tokenizer->bos_token(), 1);
  EXPECT_EQ(tokenizer->eos_token(), 2);
  EXPECT_EQ(tokenizer->encode("").size(), 1U);
  EXPECT_EQ(tokenizer->encode("").front(), 2);
  const auto ends = tokenizer->end_of_generation_tokens();
  EXPECT_EQ(std::vector<TokenId>(ends.begin(), ends.end()), (std::vector<TokenId>{2, 4, 5}))
      << "and <|im_end|>";
}

}  // namespace
}  // namespace tessera::text
