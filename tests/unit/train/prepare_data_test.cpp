#include "train/prepare_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/open_model_files.h"
#include "support/error_of.h"
#include "support/test_paths.h"
#include "text/tokenizer_fingerprint.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_training.h"
#include "train/chat_data.h"

namespace tessera::train {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

class PrepareData : public ::testing::Test {
 protected:
  PrepareData() : tokenizer_(load("gpt2")) {}

  static std::unique_ptr<text::Tokenizer> load(const std::string& name) {
    return text::load_tokenizer_json(
        (testing::golden_dir() / "tokenizers" / name / "tokenizer.json").string());
  }
  std::string write(const std::string& name, std::string_view text) {
    const std::string path = folder_.path() / name;
    write_file_atomically(path, text);
    return path;
  }
  std::string out(const std::string& name) const { return folder_.path() / name; }
  // The documents of a token file as text.
  std::vector<std::string> documents(const std::string& path) const {
    const auto file = TokenFile::open(path);
    std::vector<std::string> texts;
    for (std::uint64_t i = 0; i < file->info().document_count; ++i) {
      const std::uint64_t begin = file->document_start(i);
      const std::uint64_t end =
          i + 1 < file->info().document_count ? file->document_start(i + 1) : file->info().token_count;
      std::vector<TokenId> ids(end - begin);
      file->copy_tokens(begin, ids);
      texts.push_back(tokenizer_->decode(ids));
    }
    return texts;
  }
  testing::TemporaryFolder folder_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
};

TEST_F(PrepareData, ASingleTextGivesItsLastCharactersForValidation) {
  const std::string path = write("a.txt", "äbcdefghiü");  // ten characters in twelve bytes
  const PreparedData made =
      prepare_data(*tokenizer_, nullptr, {.inputs = {path}, .validation_fraction = 0.2}, out("o"));
  EXPECT_EQ(documents(out("o/train.tokens")), std::vector<std::string>{"äbcdefgh"});
  EXPECT_EQ(documents(out("o/validation.tokens")), std::vector<std::string>{"iü"});
  EXPECT_EQ(made.train.info.tokenizer_fingerprint, text::tokenizer_fingerprint(*tokenizer_));
  EXPECT_EQ(made.train.info.vocabulary_size, tokenizer_->vocabulary_size());
}

TEST_F(PrepareData, OfManyDocumentsWholeOnesAreChosenBySeed) {
  std::string lines;
  std::set<std::string> all;
  for (int i = 0; i < 200; ++i) {
    all.insert(fmt::format("text {}", i));
    lines += fmt::format("{{\"text\": \"text {}\"}}\n", i);
  }
  PrepareDataOptions options{.inputs = {write("a.jsonl", lines)}, .validation_fraction = 0.1, .seed = 5};
  prepare_data(*tokenizer_, nullptr, options, out("o"));
  const auto train = documents(out("o/train.tokens"));
  const auto validation = documents(out("o/validation.tokens"));
  EXPECT_EQ(validation.size(), 20U);
  std::set<std::string> seen(train.begin(), train.end());
  seen.insert(validation.begin(), validation.end());
  EXPECT_EQ(seen, all);
  EXPECT_EQ(train.size(), 180U);
  options.seed = 6;
  prepare_data(*tokenizer_, nullptr, options, out("p"));
  EXPECT_NE(documents(out("p/validation.tokens")), validation);
}

TEST_F(PrepareData, TheSameBytesForAnyNumberOfThreads) {
  std::string lines;
  for (int i = 0; i < 5000; ++i)
    lines += fmt::format("{{\"text\": \"document {} of several, {}\"}}\n", i, i * i);
  const PrepareDataOptions options{.inputs = {write("a.jsonl", lines)}, .add_eos = false};
  const int threads = thread_pool().size();
  prepare_data(*tokenizer_, nullptr, options, out("before"));
  for (const int count : {1, 3}) {
    set_thread_count(count);
    prepare_data(*tokenizer_, nullptr, options, out("now"));
    EXPECT_EQ(read_file(out("now/train.tokens")), read_file(out("before/train.tokens")));
    EXPECT_EQ(read_file(out("now/validation.tokens")), read_file(out("before/validation.tokens")));
  }
  set_thread_count(threads);
}

TEST_F(PrepareData, BosAndEosStandAroundEveryDocument) {
  const auto tokenizer = load("llama3");
  ASSERT_TRUE(tokenizer->bos_token() && tokenizer->eos_token());
  const std::string path = write("a.txt", "one|two");
  const PreparedData made = prepare_data(*tokenizer, nullptr,
                                         {.inputs = {path},
                                          .corpus = {.document_separator = "|"},
                                          .validation_fraction = 0,
                                          .add_bos = true,
                                          .add_eos = true},
                                         out("o"));
  EXPECT_TRUE(made.validation.empty());
  EXPECT_FALSE(std::filesystem::exists(out("o/validation.tokens")));
  std::vector<TokenId> expected;
  for (const char* text : {"one", "two"}) {
    expected.push_back(*tokenizer->bos_token());
    for (const TokenId id : tokenizer->encode(text, {.add_special_tokens = false})) expected.push_back(id);
    expected.push_back(*tokenizer->eos_token());
  }
  std::vector<TokenId> ids(made.train.info.token_count);
  TokenFile::open(made.train.path)->copy_tokens(0, ids);
  EXPECT_EQ(ids, expected);
  EXPECT_THAT(
      error_of([&] { prepare_data(*tokenizer_, nullptr, {.inputs = {path}, .add_bos = true}, out("p")); }),
      HasSubstr("--bos"));
}

TEST_F(PrepareData, ConversationsCarryTheirMask) {
  const std::string chats = write("a.jsonl",
                                  "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, "
                                  "{\"role\": \"assistant\", \"content\": \"Hello\"}]}\n");
  const text::ChatTemplate chat_template(kChatMlTemplate);
  const PrepareDataOptions options{.inputs = {chats},
                                   .validation_inputs = {write("b.txt", "text counts whole")},
                                   .validation_fraction = 0};
  const PreparedData made = prepare_data(*tokenizer_, &chat_template, options, out("o"));
  const auto file = TokenFile::open(made.train.path);
  std::vector<TokenId> ids(file->info().token_count);
  file->copy_tokens(0, ids);
  std::string counted;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (file->counts_in_loss(i)) counted += tokenizer_->token_bytes(ids[i]);
  }
  EXPECT_EQ(counted, "Hello<|im_end|>");
  EXPECT_EQ(made.validation.at(0).counted_tokens, made.validation.at(0).info.token_count);
  EXPECT_THAT(error_of([&] { prepare_data(*tokenizer_, nullptr, options, out("p")); }),
              HasSubstr("--chat-template"));
}

TEST_F(PrepareData, ABadLineIsNamedAndNothingIsWritten) {
  const std::string path =
      write("a.jsonl", "{\"text\": \"a\"}\n{\"text\": 3}\n{\"text\": \"b\"}\nnot json\n");
  EXPECT_THAT(error_of([&] { prepare_data(*tokenizer_, nullptr, {.inputs = {path}}, out("o")); }),
              HasSubstr("a.jsonl: line 2: expected a JSON object with a string 'text'"));
  EXPECT_FALSE(std::filesystem::exists(out("o/train.tokens")));
  EXPECT_TRUE(std::filesystem::is_empty(out("o")));
}

TEST_F(PrepareData, CountsWhatTheTokenizerDoesNotKnow) {
  const std::string_view known = "abc";
  const auto characters = text::read_tokenizer_json(
      MappedFile::from_bytes("c.json", text::train_characters(std::span(&known, 1), {}).tokenizer_json));
  const PrepareDataOptions options{.inputs = {write("a.txt", "abcxab\u00e9c")}, .validation_fraction = 0};
  const PreparedData made = prepare_data(*characters, nullptr, options, out("o"));
  EXPECT_EQ(made.train.info.token_count, 6U);
  EXPECT_EQ(made.lost_bytes, 3U);
  EXPECT_EQ(prepare_data(*tokenizer_, nullptr, options, out("p")).lost_bytes, 0U);
}

TEST_F(PrepareData, RefusesTheImpossible) {
  const std::string text = write("a.txt", "some text");
  const std::string empty = write("empty.txt", " \n");
  const auto error = [&](const PrepareDataOptions& options) {
    return error_of([&] { prepare_data(*tokenizer_, nullptr, options, out("o")); });
  };
  EXPECT_THAT(error({}), HasSubstr("found none"));
  EXPECT_THAT(error({.inputs = {empty}}), HasSubstr("expected text, found none"));
  EXPECT_THAT(error({.inputs = {text}, .validation_fraction = 1}),
              HasSubstr("validation: expected a fraction"));
  EXPECT_THAT(error({.inputs = {text}, .validation_fraction = -0.1}), HasSubstr("validation"));
  EXPECT_THAT(error({.inputs = {text}, .split = SplitBy::document}), HasSubstr("at least 2 documents"));
}

// Experiment 7's second part: 301,966 and 36,059, as published for GPT-2's vocabulary.
TEST_F(PrepareData, TinyShakespeareInGpt2TokensHasThePublishedCounts) {
  const auto shared = testing::shared_dir();
  if (!shared)
    GTEST_SKIP() << "no ../shared beside the checkout: tinyshakespeare and GPT-2's vocabulary are there";

  const auto files = formats::open_model_files((*shared / "tokenizers/ggml-vocab-gpt-2.gguf").string());
  const auto tokenizer = text::load_gguf_tokenizer(files.weights->metadata());
  const PreparedData made = prepare_data(
      *tokenizer, nullptr, {.inputs = {(*shared / "data/tinyshakespeare/input.txt").string()}}, out("o"));
  EXPECT_EQ(made.train.info.token_count, 301'966U);
  EXPECT_EQ(made.validation.at(0).info.token_count, 36'059U);
}

}  // namespace
}  // namespace tessera::train
