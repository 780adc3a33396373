// Long runs of every class of characters through every tokenizer there is: linear time, counted in steps and
// not by a clock, on a small stack. By default up to 64 KB; with TESSERA_SLOW_TESTS (./run-tests --slow) 4
// MB.
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>

#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/gguf.h"
#include "support/test_paths.h"
#include "text/byte_level.h"
#include "text/encode_work.h"
#include "text/gguf_pre_tokenizers.h"
#include "text/tokenizer_json.h"
#include "text/vocabulary.h"

namespace tessera::text {
namespace {

namespace fs = std::filesystem;

struct Loaded {
  std::shared_ptr<const WeightSource> source;
  std::unique_ptr<Metadata> metadata;
  std::unique_ptr<Tokenizer> tokenizer;
};

Loaded load_gguf(const fs::path& path) {
  Loaded result;
  result.source = formats::open_gguf(MappedFile::open(path.string()));
  result.tokenizer = load_gguf_tokenizer(result.source->metadata());
  return result;
}

// All bytes, alone and as <0xNN>, and merges that make long runs of some of them.
Loaded load_kind(const std::string& kind) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(to_byte_characters(std::string(1, static_cast<char>(byte))));
    tokens.push_back(byte_token_text(static_cast<unsigned char>(byte)));
  }
  tokens.emplace_back("\xe2\x96\x81");
  std::vector<std::string> merges;
  for (const std::string unit : {"a", "A", "7", ".", "'", "\xc4\xa0", "\xc4\x8a", "\xe2\x96\x81"}) {
    for (std::string run = unit; run.size() <= 4 * unit.size(); run += run) {
      merges.push_back(run + " " + run);
      tokens.push_back(run + run);
    }
  }
  Loaded result;
  result.metadata = std::make_unique<Metadata>("made.gguf", nullptr);
  const auto keep = [&](const std::vector<std::string>& texts) {
    Metadata::StringArray views;
    for (const std::string& text : texts) {
      const std::string key = "text." + text;
      result.metadata->set_text(key, text);
      views.push_back(*result.metadata->find_string(key));
    }
    return views;
  };
  result.metadata->set("tokenizer.ggml.tokens", keep(tokens));
  result.metadata->set("tokenizer.ggml.merges", keep(merges));
  result.metadata->set("tokenizer.ggml.model", std::string_view("gpt2"));
  result.metadata->set_text("tokenizer.ggml.pre", kind);
  result.tokenizer = load_gguf_tokenizer(*result.metadata);
  return result;
}

Loaded load_json(const fs::path& path) {
  Loaded result;
  result.tokenizer = load_tokenizer_json(path.string());
  return result;
}

struct Subject {
  std::string name;
  std::function<Loaded()> load;
};

std::vector<Subject> subjects() {
  std::vector<Subject> result;
  for (const std::string& kind : gguf_pre_tokenizer_kinds())
    result.push_back({"kind_" + kind, [=] { return load_kind(kind); }});
  for (const auto& entry : fs::directory_iterator(testing::golden_dir() / "tokenizers")) {
    const fs::path path = entry.path() / "tokenizer.json";
    if (fs::exists(path))
      result.push_back({"json_" + entry.path().filename().string(), [=] { return load_json(path); }});
  }
  if (const auto shared = testing::shared_dir()) {
    for (const auto& entry : fs::directory_iterator(*shared / "tokenizers")) {
      if (entry.path().extension() == ".gguf")
        result.push_back({"gguf_" + entry.path().stem().string(), [=] { return load_gguf(entry.path()); }});
    }
    const fs::path stories = *shared / "models/tinystories-656k/tokenizer.json";
    if (fs::exists(stories)) result.push_back({"tinystories", [=] { return load_json(stories); }});
  }
  if (const auto model = testing::default_model())
    result.push_back({"default_model", [=] { return load_gguf(*model); }});
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (Subject& subject : result) {
    for (char& c : subject.name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  }
  return result;
}

// What a text is made of, over and over: each Unicode class, what patterns look for, what is not UTF-8.
const std::vector<std::string>& units() {
  static const std::vector<std::string> all = {"a",
                                               "A",
                                               "aA",
                                               "\xc3\xa9",          // a letter with accent
                                               "\xc7\x85",          // title case
                                               "\xca\xb0",          // modifier letter
                                               "\xe4\xb8\xad",      // Han
                                               "A\xe4\xb8\xad",     // capitals and Han
                                               "\xea\xb0\x80",      // Hangul
                                               "\xe1\x84\x80",      // a Hangul letter that composes
                                               "\xe3\x81\x82",      // Hiragana
                                               "\xd7\x90",          // Hebrew
                                               "7",                 // digits
                                               "\xd9\xa3",          // Arabic digits
                                               "\xc2\xbd",          // other numbers
                                               "7,",                // digits and marks between
                                               " ",                 // spaces
                                               "\n",                //
                                               "\r\n",              //
                                               " \n",               //
                                               "\t",                //
                                               "\xc2\xa0",          // no-break space
                                               "\xe2\x80\xa8",      // line separator
                                               " a",                // words
                                               "a ",                //
                                               "  7",               //
                                               ".",                 // punctuation
                                               "./",                //
                                               ".\n",               //
                                               "'",                 // apostrophes
                                               "'s",                //
                                               "'l",                // half a contraction
                                               "<",                 // half a control token
                                               "<s>",               // whole ones
                                               "<sentinel:0",       //
                                               "IMGIMGA",           //
                                               "\xe2\x82\xac",      // symbols
                                               "\xe2\x80\x94",      // dash
                                               "\xf0\x9f\xa6\x99",  // emoji
                                               "\xf0\x9f\x8f\xbb",  // a modifier of emoji
                                               "\xe2\x80\x8d",      // zero-width joiner
                                               "\xcc\x81",          // combining mark
                                               "\xcc\x81\xcc\xa3",  // in the order normalization turns around
                                               "e\xcc\x81",         // that compose
                                               "\xe0\xa4\x95\xe0\xa5\x8d",  // Devanagari with virama
                                               "\xe2\x96\x81",              // SentencePiece's space
                                               std::string(1, '\0'),        // control
                                               "\x01",                      //
                                               "\x7f",                      //
                                               "\xef\xbf\xbd",              // replacement character
                                               "\xee\x80\x80",              // private use
                                               "\xf3\xa0\x81\x81",          // tags
                                               "\xf0\xb0\x80\x80",          // Han of plane 3
                                               "\xcd\xb8",                  // unassigned
                                               "\xff",                      // not UTF-8
                                               "\xe4\xb8",                  // cut
                                               "\xed\xa0\x80"};             // a surrogate
  return all;
}

std::string repeat(const std::string& unit, std::size_t bytes) {
  std::string text;
  text.reserve(bytes + unit.size());
  while (text.size() < bytes) text += unit;
  return text;
}

// What one encoding took: steps of each kind.
EncodeWork work_of(const Tokenizer& tokenizer, const std::string& text) {
  const EncodeWork before = encode_work();
  const auto ids = tokenizer.encode(text, {.add_special_tokens = false});
  EXPECT_LE(ids.size(), 4 * text.size());
  EncodeWork work = encode_work();
  work.scanned_bytes -= before.scanned_bytes;
  work.merge_lookups -= before.merge_lookups;
  work.regex_steps -= before.regex_steps;
  return work;
}

// Runs `work` in a thread of 256 KB of stack. Memory checkers need room of their own there.
void run_on_small_stack(const std::function<void()>& work) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::size_t kStackBytes = 2 << 20;
#else
  constexpr std::size_t kStackBytes = 256 << 10;
#endif
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, kStackBytes), 0);
  const auto run = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  pthread_t thread{};
  auto* argument = const_cast<std::function<void()>*>(&work);
  ASSERT_EQ(pthread_create(&thread, &attributes, run, argument), 0);
  pthread_attr_destroy(&attributes);
  pthread_join(thread, nullptr);
}

// Four times the text may take four times the steps (and a tenth more, for ends and rounding); regular
// expressions are counted to a factor of two. And each byte no more than a fixed number of steps.
void expect_linear(const Tokenizer& tokenizer, std::size_t bytes, bool with_regexes) {
  for (const std::string& unit : units()) {
    SCOPED_TRACE("runs of '" + printable(unit) + "'");
    encode_work().count_regex_steps = with_regexes;
    const std::string text = repeat(unit, 4 * bytes);
    const EncodeWork small = work_of(tokenizer, repeat(unit, bytes));
    const EncodeWork large = work_of(tokenizer, text);
    encode_work().count_regex_steps = false;
    const auto direct = [](const EncodeWork& work) { return work.scanned_bytes + work.merge_lookups; };
    EXPECT_LE(direct(large), direct(small) * 44 / 10 + 4096);
    EXPECT_LE(large.regex_steps, small.regex_steps * 88 / 10 + 4096);
    EXPECT_LE(direct(large), text.size() * 48 + 4096);
    EXPECT_LE(large.regex_steps, text.size() * 512 + 4096);
  }
}

class TokenizerLinearTime : public ::testing::TestWithParam<Subject> {};

TEST_P(TokenizerLinearTime, OnRunsOfEveryClass) {
  const Loaded loaded = GetParam().load();
  run_on_small_stack([&] { expect_linear(*loaded.tokenizer, 4 << 10, true); });
}

TEST_P(TokenizerLinearTime, OnFourMegabytesOfEveryClass) {
  if (std::getenv("TESSERA_SLOW_TESTS") == nullptr) GTEST_SKIP() << "slow: ./run-tests --slow runs it";
  const Loaded loaded = GetParam().load();
  run_on_small_stack([&] { expect_linear(*loaded.tokenizer, 1 << 20, false); });
}

// The same look-ahead in another spelling goes to the regex engine, which reads the rest of the digits for
// each three of them: the counter must see that, or the tests above prove nothing.
TEST(TokenizerWork, SeesQuadraticTime) {
  const fs::path path = testing::golden_dir() / "tokenizers/superbpe/tokenizer.json";
  std::string content = read_file(path.string());
  const std::string known = R"((?=(\\d{3})+(?!\\d)))";
  const std::size_t place = content.find(known);
  ASSERT_NE(place, std::string::npos);
  content.replace(place, known.size(), R"((?=(?:\\d{3})+(?!\\d)))");
  const auto slow = read_tokenizer_json(MappedFile::from_bytes("slow.json", content));
  const auto fast = load_json(path);
  encode_work().count_regex_steps = true;
  const EncodeWork small = work_of(*slow, repeat("7", 3000));
  const EncodeWork large = work_of(*slow, repeat("7", 12000));
  encode_work().count_regex_steps = false;
  EXPECT_GT(large.regex_steps, small.regex_steps * 10);
  for (const std::string text : {"1234567", "12a123", "a123456 x",
                                 "\xc2\xb2"
                                 "1234",
                                 "\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3.", "7", "777", ""}) {
    EXPECT_EQ(fast.tokenizer->encode(text), slow->encode(text)) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerLinearTime, ::testing::ValuesIn(subjects()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace tessera::text
