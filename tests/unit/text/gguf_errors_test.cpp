// Hostile and odd metadata: every error names file, key, byte, what was expected and what was found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "text/tokenizer.h"

namespace tessera::text {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A vocabulary of 10 tokens that loads; tests spoil one key.
class GgufErrors : public ::testing::Test {
 protected:
  using Values = std::map<std::string, Metadata::Value>;

  static Values sentencepiece() {
    return {{"tokenizer.ggml.model", std::string_view("llama")},
            {"tokenizer.ggml.tokens",
             Metadata::StringArray{"<unk>", "<s>", "</s>", "<0x41>", "a", "b", "ab", "\xe2\x96\x81",
                                   "\xe2\x96\x81"
                                   "a",
                                   "<|user|>"}},
            {"tokenizer.ggml.token_type", Metadata::IntegerArray{2, 3, 3, 6, 1, 1, 1, 1, 1, 4}},
            {"tokenizer.ggml.scores", Metadata::FloatArray{0, 0, 0, 0, -1, -2, -3, -4, -5, 0}},
            {"tokenizer.ggml.bos_token_id", std::int64_t{1}},
            {"tokenizer.ggml.eos_token_id", std::int64_t{2}},
            {"tokenizer.ggml.unknown_token_id", std::int64_t{0}}};
  }

  static Values byte_level() {
    Values values = {{"tokenizer.ggml.model", std::string_view("gpt2")},
                     {"tokenizer.ggml.pre", std::string_view("gpt-2")},
                     {"tokenizer.ggml.tokens", Metadata::StringArray{"a", "b", "ab", "<|end|>"}},
                     {"tokenizer.ggml.merges", Metadata::StringArray{"a b"}}};
    return values;
  }

  static std::unique_ptr<Tokenizer> load(Values values) {
    metadata() = Metadata("vocabulary.gguf", nullptr);
    std::uint64_t offset = 100;
    for (auto& [key, value] : values) metadata().set(key, std::move(value), offset++);
    return load_gguf_tokenizer(metadata());
  }
  static Metadata& metadata() {
    static Metadata value;
    return value;
  }

  static std::string error_of(Values values, ErrorKind kind) {
    try {
      load(std::move(values));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "no error";
  }
};

TEST_F(GgufErrors, TheUnspoiltOnesLoad) {
  EXPECT_EQ(load(sentencepiece())->encode("ab"), (std::vector<TokenId>{1, 7, 6})) << "the higher score first";
  EXPECT_EQ(load(byte_level())->encode("abba"), (std::vector<TokenId>{2, 1, 0}));
}

TEST_F(GgufErrors, UnknownModelsAndPreTokenizersAreNamed) {
  for (const std::string_view model : {"bert", "t5", "rwkv", "plamo2", "nonsense"}) {
    Values values = sentencepiece();
    values["tokenizer.ggml.model"] = model;
    EXPECT_THAT(error_of(values, ErrorKind::unsupported),
                AllOf(HasSubstr("vocabulary.gguf"), HasSubstr("tokenizer.ggml.model"),
                      HasSubstr(std::string(model))));
  }
  for (const std::string_view pre : {"no-such-kind", "llama3 llama-v3", ""}) {
    Values values = byte_level();
    values["tokenizer.ggml.pre"] = pre;
    EXPECT_THAT(error_of(values, ErrorKind::unsupported),
                AllOf(HasSubstr("vocabulary.gguf: key 'tokenizer.ggml.pre' at byte"),
                      HasSubstr("'" + std::string(pre) + "'")));
  }
}

TEST_F(GgufErrors, ArraysThatDoNotFit) {
  Values values = sentencepiece();
  values["tokenizer.ggml.scores"] = Metadata::FloatArray{0, 0};
  EXPECT_THAT(
      error_of(values, ErrorKind::bad_input),
      AllOf(HasSubstr("tokenizer.ggml.scores"), HasSubstr("expected 10 values"), HasSubstr("found 2")));
  values["tokenizer.ggml.scores"] = Metadata::FloatArray(10, std::nan(""));
  EXPECT_THAT(error_of(values, ErrorKind::bad_input), HasSubstr("NaN"));
  values.erase("tokenizer.ggml.scores");
  EXPECT_THAT(error_of(values, ErrorKind::bad_input), HasSubstr("tokenizer.ggml.scores"));
  values = sentencepiece();
  values["tokenizer.ggml.token_type"] = Metadata::IntegerArray{1};
  EXPECT_THAT(error_of(values, ErrorKind::bad_input), HasSubstr("tokenizer.ggml.token_type"));
  values["tokenizer.ggml.tokens"] = Metadata::StringArray{};
  EXPECT_THAT(error_of(values, ErrorKind::bad_input), HasSubstr("tokenizer.ggml.tokens"));
  values["tokenizer.ggml.tokens"] = std::int64_t{3};
  EXPECT_THAT(error_of(values, ErrorKind::bad_input), HasSubstr("tokenizer.ggml.tokens"));
}

TEST_F(GgufErrors, IdsOutOfRange) {
  for (const std::int64_t id : {std::int64_t{10}, std::int64_t{1} << 31, std::int64_t{-2}}) {
    for (const char* key : {"bos_token_id", "eos_token_id", "unknown_token_id", "eot_token_id"}) {
      Values values = sentencepiece();
      values[std::string("tokenizer.ggml.") + key] = id;
      EXPECT_THAT(error_of(values, ErrorKind::bad_input),
                  AllOf(HasSubstr(key), HasSubstr(std::to_string(id))));
    }
  }
}

TEST_F(GgufErrors, MergesOfUnknownTokens) {
  for (const std::string_view merge : {"a c", "ab b", "ab", "", " a", "b a"}) {
    Values values = byte_level();
    values["tokenizer.ggml.merges"] = Metadata::StringArray{"a b", merge};
    EXPECT_THAT(error_of(values, ErrorKind::bad_input),
                AllOf(HasSubstr("tokenizer.ggml.merges"), HasSubstr("merge 1")));
  }
  Values values = byte_level();
  values.erase("tokenizer.ggml.merges");
  EXPECT_THAT(error_of(values, ErrorKind::bad_input), HasSubstr("tokenizer.ggml.merges"));
}

TEST_F(GgufErrors, TextNeverBecomesAControlToken) {
  const auto tokenizer = load(sentencepiece());
  for (const TokenId id : tokenizer->encode("a<s>b</s><unk>a", {.add_special_tokens = false})) {
    EXPECT_NE(tokenizer->token_kind(id), TokenKind::control) << id;
  }
  EXPECT_EQ(tokenizer->encode("a<s>b", {.add_special_tokens = false, .parse_special = true}),
            (std::vector<TokenId>{8, 1, 7, 5}));
  // User-defined tokens are words, and found either way.
  EXPECT_EQ(tokenizer->encode("a<|user|>", {.add_special_tokens = false}), (std::vector<TokenId>{8, 9}));
  EXPECT_EQ(tokenizer->encode("A", {.add_special_tokens = false}), (std::vector<TokenId>{7, 3}))
      << "byte fallback";
  EXPECT_EQ(tokenizer->encode("\xc3\xa9", {.add_special_tokens = false}), (std::vector<TokenId>{7, 0}))
      << "unknown";
}

TEST_F(GgufErrors, EveryPreTokenizerKindCutsAnyTextWithoutLoss) {
  const std::string text =
      " Hello  WORLDs'LL 1234567 12a 3.14!! \xe4\xb8\xad\xe6\x96\x87 caf\xc3\xa9 e\xcc\x81\t\r\n\n  x "
      "\xf0\x9f\xa6\x99 \xea\xb0\x80 <sentinel:1>";
  Metadata::StringArray tokens;
  std::vector<std::string> storage;
  for (unsigned byte = 0; byte < 256; ++byte) {  // the byte alphabet, in order
    std::string one;
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    static unsigned next = 0;
    const unsigned code = printable ? byte : 0x100 + next++;
    if (code < 0x80) {
      one = static_cast<char>(code);
    } else {
      one = {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
    }
    storage.push_back(one);
  }
  for (const std::string& one : storage) tokens.push_back(one);
  const char* kinds[] = {"default",
                         "llama3",
                         "llama-v3",
                         "llama-bpe",
                         "falcon3",
                         "falcon-h1",
                         "pixtral",
                         "midm-2.0",
                         "lfm2",
                         "jina-v5-nano",
                         "dbrx",
                         "smaug-bpe",
                         "glm4",
                         "chatglm-bpe",
                         "jais-2",
                         "deepseek-llm",
                         "deepseek-coder",
                         "deepseek-v3",
                         "hunyuan-dense",
                         "joyai-llm",
                         "hy_v4",
                         "spark2_5",
                         "youtu",
                         "falcon",
                         "starcoder",
                         "refact",
                         "smollm",
                         "codeshell",
                         "exaone",
                         "minerva-7b",
                         "mellum2",
                         "command-r",
                         "gpt-2",
                         "phi-2",
                         "jina-es",
                         "jina-de",
                         "gigachat",
                         "jina-v2-es",
                         "jina-v2-de",
                         "a.x-4.0",
                         "mellum",
                         "modern-bert",
                         "jais",
                         "trillion",
                         "granite-docling",
                         "exaone4",
                         "mpt",
                         "olmo",
                         "jina-v1-en",
                         "jina-v2-code",
                         "roberta-bpe",
                         "qwen2",
                         "deepseek-r1-qwen",
                         "kormo",
                         "f2llmv2",
                         "megrez",
                         "stablelm2",
                         "hunyuan",
                         "solar-open",
                         "grok-2",
                         "bailingmoe",
                         "bailingmoe2",
                         "llada-moe",
                         "qwen35",
                         "ufakzeka",
                         "seed-coder",
                         "minicpm5",
                         "laguna",
                         "poro-chat",
                         "bloom",
                         "gpt3-finnish",
                         "viking",
                         "tekken",
                         "chameleon",
                         "gpt-4o",
                         "llama4",
                         "kanana2",
                         "talkie",
                         "minimax-m2",
                         "granite-embed-multi-97m",
                         "tiny_aya",
                         "cohere2moe",
                         "kimi-k2",
                         "superbpe",
                         "afmoe",
                         "exaone-moe"};
  for (const char* kind : kinds) {
    Values values = byte_level();
    values["tokenizer.ggml.pre"] = std::string_view(kind);
    values["tokenizer.ggml.tokens"] = tokens;
    values["tokenizer.ggml.merges"] = Metadata::StringArray{};
    const auto tokenizer = load(values);
    const auto ids = tokenizer->encode(text, {.add_special_tokens = false});
    const bool composes = std::string_view(kind).starts_with("qwen") || ids.size() != text.size();
    if (!composes) {
      EXPECT_EQ(tokenizer->decode(ids), text) << kind;
    }
    EXPECT_GE(ids.size() + 1, text.size()) << kind;  // NFC makes one character of e and its accent
  }
}

}  // namespace
}  // namespace tessera::text
