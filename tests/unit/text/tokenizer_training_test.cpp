#include "text/tokenizer_training.h"

#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/thread_pool.h"
#include "support/error_of.h"
#include "support/test_paths.h"
#include "text/tokenizer_json.h"
#include "text/word_counter.h"

namespace tessera::text {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;

std::string golden(const std::string& name) {
  return read_file(testing::golden_dir() / "tokenizer_training" / name);
}

TrainedTokenizer train(std::string_view text, const TokenizerTrainingOptions& options) {
  return train_byte_level_bpe(std::span(&text, 1), options);
}

std::unique_ptr<Tokenizer> load(const TrainedTokenizer& trained) {
  return read_tokenizer_json(MappedFile::from_bytes("trained.json", trained.tokenizer_json));
}

std::string lines(const TrainedTokenizer& trained) {
  return fmt::format("{}\n", fmt::join(trained.merges, "\n"));
}

TokenizerTrainingOptions golden_options() {
  return {.vocabulary_size = 600, .special_tokens = {"<|endoftext|>"}, .tie_break = TieBreak::first};
}

// tools/make_golden_tokenizer_training.py: Hugging Face's trainer on the same text.
TEST(TokenizerTraining, MergesAndIdsAreThoseOfHuggingFacesTrainer) {
  for (const char* pattern : {"gpt2", "llama3"}) {
    TokenizerTrainingOptions options = golden_options();
    options.pattern = pattern;
    const TrainedTokenizer trained = train(golden("corpus.txt"), options);
    EXPECT_EQ(trained.vocabulary_size, 600U);
    EXPECT_EQ(lines(trained), golden(fmt::format("first_{}.merges", pattern))) << pattern;
    const std::vector<TokenId> ids = load(trained)->encode(golden("sample.txt"));
    EXPECT_EQ(fmt::format("{}\n", fmt::join(ids, " ")), golden(fmt::format("first_{}.ids", pattern)))
        << pattern;
    EXPECT_EQ(load(trained)->decode(ids), golden("sample.txt"));
  }
}

// The same script's trainer that counts everything anew at every step.
TEST(TokenizerTraining, OfEquallyFrequentPairsTheGreatestIsMergedFirst) {
  TokenizerTrainingOptions options = golden_options();
  options.tie_break = TieBreak::greatest;
  EXPECT_EQ(lines(train(golden("corpus.txt"), options)), golden("greatest_gpt2.merges"));
}

// Experiment 7.
TEST(TokenizerTraining, GivesTheReferenceMergesOfTheSharedCorpus) {
  const auto shared = testing::shared_dir();
  if (!shared) GTEST_SKIP() << "no ../shared beside the checkout: the corpus and its merges are there";
  const auto corpus = MappedFile::open((*shared / "data/bpe-training-corpus.en").string());
  const TrainedTokenizer trained =
      train(corpus->text(), {.vocabulary_size = 500, .special_tokens = {"<|endoftext|>"}});
  std::string reference = read_file((*shared / "data/bpe-training-reference-merges.txt").string());
  if (!reference.ends_with('\n')) reference += '\n';
  EXPECT_EQ(lines(trained), reference);
  EXPECT_EQ(load(trained)->find_token("<|endoftext|>"), 0);
  EXPECT_EQ(load(trained)->find_token("!"), 1);
}

TEST(TokenizerTraining, ThreadsAndChunksChangeNothing) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += golden("corpus.txt");  // more than a chunk
  ASSERT_GT(text.size(), std::size_t{1} << 20U);
  const auto words = [&] {
    const std::string_view whole = text;
    std::string found;
    const auto pattern = parse_word_pattern(
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");
    for (const WordCount& word : count_words(std::span(&whole, 1), *pattern, {})) {
      found += fmt::format("{} {}\n", word.count, word.bytes);
    }
    return found;
  };
  const int threads = thread_pool().size();
  set_thread_count(1);
  const std::string alone = words();
  set_thread_count(4);
  EXPECT_EQ(words(), alone);
  set_thread_count(threads);
  // Against one scan of the whole text, without chunks.
  const auto pattern = parse_word_pattern(
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");
  WordScanner scanner(*pattern, text);
  std::size_t pieces = 0;
  for (std::size_t begin = 0; begin < text.size(); begin = scanner.next(begin)) ++pieces;
  const std::string_view whole = text;
  std::uint64_t counted = 0;
  for (const WordCount& word : count_words(std::span(&whole, 1), *pattern, {})) counted += word.count;
  EXPECT_EQ(counted, pieces);
}

TEST(TokenizerTraining, SpecialTokensPartTheText) {
  const std::string text = "abab<s>abab<s>abab<s>cd<s2>cd<s2>cd<s";
  const TrainedTokenizer trained = train(text, {.vocabulary_size = 300, .special_tokens = {"<s>", "<s2>"}});
  EXPECT_THAT(trained.merges, ElementsAre("a b", "c d", "ab ab"));
  const auto tokenizer = load(trained);
  EXPECT_EQ(tokenizer->token_kind(0), TokenKind::control);
  EXPECT_EQ(tokenizer->encode("abab<s>", {.parse_special = true}).size(), 2U);
}

TEST(TokenizerTraining, TwoWaysToTheSameBytesShareAToken) {
  // "abc" comes of "ab" "c" and later of "a" "bc" again, which stood alone while "ab" was merged elsewhere.
  const CountedWord words[] = {{"aab", 10}, {"bc", 30}, {"abc", 5}, {"aabc", 7}};
  std::vector<std::string> base = {"a", "b", "c"};
  const TrainedBpe trained = train_bpe(words, base, {.vocabulary_size = 20, .minimum_count = 1});
  std::set<std::string> different(trained.tokens.begin(), trained.tokens.end());
  EXPECT_EQ(different.size(), trained.tokens.size());
}

// Every step against counting everything anew, on random words of few letters, where pairs overlap ("aaaa").
TEST(TokenizerTraining, CountsThatAreKeptUpToDateAreThoseOfCountingAnew) {
  std::uint32_t state = 7;
  const auto random = [&](std::uint32_t below) {
    return (state = state * 1664525U + 1013904223U) / 65536U % below;
  };
  for (int round = 0; round < 30; ++round) {
    std::vector<std::string> texts(20);
    std::vector<CountedWord> words;
    for (std::string& text : texts) {
      const std::uint32_t length = 1 + random(12);
      for (std::uint32_t i = 0; i < length; ++i) text += static_cast<char>('a' + random(3));
      words.push_back({text, 1 + random(5)});
    }
    const std::vector<std::string> base = {"a", "b", "c"};
    const TrainedBpe trained = train_bpe(words, base, {.vocabulary_size = 25, .minimum_count = 1});
    std::vector<std::vector<std::string>> split;
    for (const std::string& text : texts) {
      split.emplace_back();
      for (const char c : text) split.back().emplace_back(1, c);
    }
    for (const auto& [left, right] : trained.merges) {
      std::map<std::pair<std::string, std::string>, std::uint64_t> pairs;
      for (std::size_t i = 0; i < split.size(); ++i) {
        for (std::size_t k = 0; k + 1 < split[i].size(); ++k)
          pairs[{split[i][k], split[i][k + 1]}] += words[i].count;
      }
      const auto best = std::ranges::max_element(
          pairs, {}, [](const auto& entry) { return std::pair(entry.second, entry.first); });
      ASSERT_EQ(best->first, std::pair(trained.tokens[left], trained.tokens[right])) << "round " << round;
      for (auto& word : split) {
        for (std::size_t k = 0; k + 1 < word.size(); ++k) {
          if (std::pair(word[k], word[k + 1]) != best->first) continue;
          word[k] += word[k + 1];
          word.erase(word.begin() + static_cast<std::ptrdiff_t>(k) + 1);
        }
      }
    }
  }
}

// tools/make_golden_tokenizer_training.py: Hugging Face's own unigram model on text it knows and text it does
// not.
TEST(Unigram, IdsAreThoseOfHuggingFace) {
  const auto tokenizer =
      load_tokenizer_json((testing::golden_dir() / "tokenizer_training/unigram.json").string());
  const std::vector<TokenId> ids = tokenizer->encode(golden("unigram_sample.txt"));
  EXPECT_EQ(fmt::format("{}\n", fmt::join(ids, " ")), golden("unigram.ids"));
  EXPECT_GT(std::ranges::count(ids, 0), 2) << "the sample has unknown characters";
}

TEST(Unigram, TrainedPiecesCutTheTextAboutAsShortAsHuggingFacesDo) {
  const std::string text = golden("corpus.txt");
  const std::string_view view = text;
  const TrainedTokenizer trained = train_unigram_tokenizer(
      std::span(&view, 1), {.vocabulary_size = 500, .special_tokens = {"<unk>", "<|endoftext|>"}});
  EXPECT_EQ(trained.vocabulary_size, 500U);
  const auto tokenizer = load(trained);
  const std::vector<TokenId> ids = tokenizer->encode(text);
  EXPECT_EQ(tokenizer->decode(ids), text);
  EXPECT_EQ(std::ranges::count(ids, 0), 0) << "every character of the text is a piece";
  // Both climb to a local optimum of the same likelihood from the same kind of seeds.
  EXPECT_LE(static_cast<double>(ids.size()), 1.05 * std::stod(golden("unigram.count")));
  const TrainedTokenizer again = train_unigram_tokenizer(
      std::span(&view, 1), {.vocabulary_size = 500, .special_tokens = {"<unk>", "<|endoftext|>"}});
  EXPECT_EQ(again.tokenizer_json, trained.tokenizer_json);
}

TEST(Unigram, APieceThatIsFrequentIsLearnt) {
  const std::string text = "abcd abcd abcd xy abcd abcd xy";
  const std::string_view view = text;
  const TrainedTokenizer trained = train_unigram_tokenizer(std::span(&view, 1), {.vocabulary_size = 12});
  const auto tokenizer = load(trained);
  EXPECT_EQ(tokenizer->find_token("<unk>"), 0);
  EXPECT_THAT(tokenizer->encode(" abcd"), ::testing::SizeIs(1)) << trained.tokenizer_json;
  EXPECT_THAT(error_of([&] { train_unigram_tokenizer(std::span(&view, 1), {.vocabulary_size = 5}); }),
              HasSubstr("room for the 7 characters of the texts, found 4"));
}

// Byte tokens where all bytes of an unknown run have one; <unk> once for the run where one lacks. The
// expected ids are Hugging Face's for the same file.
TEST(Unigram, UnknownCharactersFallBackToBytesWhereAllAreThere) {
  const auto tokenizer = read_tokenizer_json(MappedFile::from_bytes("t.json", R"({"model": {"type": "Unigram",
      "unk_id": 0, "byte_fallback": true,
      "vocab": [["<unk>", 0.0], ["a", -2.0], ["<0x42>", -9.0], ["<0x43>", -9.0], ["ab", -3.0]]}})"));
  EXPECT_THAT(tokenizer->encode("aBCa"), ElementsAre(1, 2, 3, 1));
  EXPECT_THAT(tokenizer->encode("aBDa"), ElementsAre(1, 0, 1));
  EXPECT_THAT(tokenizer->encode("ab<0x42>"), ElementsAre(4, 2)) << "text may spell a byte token, as there";
}

TEST(Unigram, DamagedVocabulariesAreRefused) {
  const auto error = [](const std::string& vocabulary, const std::string& more = "") {
    return error_of([&] {
      read_tokenizer_json(MappedFile::from_bytes(
          "t.json", R"({"model": {"type": "Unigram", "vocab": )" + vocabulary + more + "}}"));
    });
  };
  EXPECT_THAT(error("{}"), HasSubstr("model.vocab"));
  EXPECT_THAT(error(R"([["a"]])"), HasSubstr("a piece of at most"));
  EXPECT_THAT(error(R"([["a", "b"]])"), HasSubstr("a piece of at most"));
  EXPECT_THAT(error(R"([["a", -1.0], ["a", -2.0]])"), HasSubstr("each token once"));
  EXPECT_THAT(error(R"([["a", -1.0]])", R"(, "unk_id": 1)"), HasSubstr("unk_id"));
  EXPECT_THAT(error("[[\"" + std::string(2000, 'a') + "\", -1.0]]"), HasSubstr("at most 1024 bytes"));
}

TEST(TokenizerTraining, ACharacterTokenizerHasATokenForEachCharacter) {
  const std::string text = "To be, or not\nto bé 水";
  const std::string_view view = text;
  const TrainedTokenizer trained = train_characters(std::span(&view, 1), {.special_tokens = {"<s>"}});
  const auto tokenizer = load(trained);
  EXPECT_EQ(tokenizer->vocabulary_size(), trained.vocabulary_size);
  EXPECT_EQ(tokenizer->find_token("<s>"), 0);
  EXPECT_EQ(tokenizer->find_token("\n"), 1) << "by code point";
  const std::vector<TokenId> ids = tokenizer->encode(text);
  EXPECT_EQ(ids.size(), 21U) << "one a character";
  EXPECT_EQ(tokenizer->decode(ids), text);
  EXPECT_EQ(tokenizer->encode("x").size(), 0U) << "a character the text does not have";
}

TEST(TokenizerTraining, RefusesTheImpossible) {
  const auto error = [](const TokenizerTrainingOptions& options) {
    return error_of([&] { train("some text", options); });
  };
  EXPECT_THAT(error({.vocabulary_size = 256, .special_tokens = {"<s>"}}),
              HasSubstr("expected 257 (256 bytes and 1 special tokens)"));
  EXPECT_THAT(error({.vocabulary_size = ~std::size_t{0}}), HasSubstr("vocabulary"));
  EXPECT_THAT(error({.vocabulary_size = 300, .special_tokens = {"<s>", "<s>"}}), HasSubstr("'<s>' again"));
  EXPECT_THAT(error({.vocabulary_size = 300, .special_tokens = {""}}), HasSubstr("special token"));
  EXPECT_THAT(error({.vocabulary_size = 300, .pattern = "bert"}), HasSubstr("gpt2, llama3, found 'bert'"));
  const std::string_view text = "abc";
  EXPECT_THAT(error_of([&] { train_characters(std::span(&text, 1), {.vocabulary_size = 2}); }),
              HasSubstr("at most 2 characters and special tokens, found 3"));
}

}  // namespace
}  // namespace tessera::text
