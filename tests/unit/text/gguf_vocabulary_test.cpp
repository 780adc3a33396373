// GGUF vocabularies: the ids of the files' own test inputs, and what hostile metadata gives.
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/mapped_file.h"
#include "formats/gguf.h"
#include "support/test_paths.h"
#include "text/tokenizer.h"

namespace tessera::text {
namespace {

struct LoadedVocabulary {
  std::shared_ptr<const WeightSource> source;
  std::unique_ptr<Tokenizer> tokenizer;
};

LoadedVocabulary load_vocabulary(const std::filesystem::path& path) {
  LoadedVocabulary result;
  result.source = formats::open_gguf(MappedFile::open(path.string()));
  result.tokenizer = load_gguf_tokenizer(result.source->metadata());
  return result;
}

std::vector<std::string> read_inputs(const std::string& path) {
  constexpr std::string_view kSeparator = "\n__ggml_vocab_test__\n";
  const std::string text = read_file(path);
  std::vector<std::string> inputs;
  std::size_t begin = 0;
  for (std::size_t end = text.find(kSeparator); end != std::string::npos;
       end = text.find(kSeparator, begin)) {
    inputs.push_back(text.substr(begin, end - begin));
    begin = end + kSeparator.size();
  }
  return inputs;
}

std::vector<std::vector<TokenId>> read_ids(const std::string& path) {
  std::istringstream lines(read_file(path));
  std::vector<std::vector<TokenId>> result;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    std::vector<TokenId>& ids = result.emplace_back();
    for (TokenId id = 0; numbers >> id;) ids.push_back(id);
  }
  return result;
}

class SharedVocabulary : public ::testing::TestWithParam<const char*> {};

TEST_P(SharedVocabulary, GivesTheExpectedIds) {
  const auto shared = testing::shared_dir();
  if (!shared) GTEST_SKIP() << "../shared is absent";
  const std::filesystem::path path =
      *shared / "tokenizers" / (std::string("ggml-vocab-") + GetParam() + ".gguf");
  const LoadedVocabulary vocabulary = load_vocabulary(path);
  const auto inputs = read_inputs(path.string() + ".inp");
  const auto expected = read_ids(path.string() + ".out");
  ASSERT_GE(inputs.size(), 40U);
  ASSERT_EQ(inputs.size(), expected.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_EQ(vocabulary.tokenizer->encode(inputs[i], {.add_special_tokens = false}), expected[i])
        << "input " << i << ": '" << printable(inputs[i]) << "'";
  }
}

std::string fnv1a(const std::vector<TokenId>& ids) {
  std::uint64_t value = 0xcbf29ce484222325U;
  for (const TokenId id : ids) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      value = (value ^ (static_cast<std::uint32_t>(id) >> shift & 0xffU)) * 0x100000001b3U;
    }
  }
  return fmt::format("{:016x}", value);
}

// The Declaration of Human Rights in 35 languages and random Unicode (tools/make_golden_udhr.py).
TEST_P(SharedVocabulary, TokenizesEveryLanguageAsHuggingFace) {
  const auto shared = testing::shared_dir();
  if (!shared) GTEST_SKIP() << "../shared is absent";
  const LoadedVocabulary vocabulary =
      load_vocabulary(*shared / "tokenizers" / (std::string("ggml-vocab-") + GetParam() + ".gguf"));
  std::ifstream stream(testing::golden_dir() / "tokenizers" / "udhr.json");
  const auto golden = nlohmann::json::parse(stream).at(GetParam());
  ASSERT_EQ(golden.size(), 36U);
  for (const auto& [name, expected] : golden.items()) {
    const auto folder =
        name == "random.txt" ? testing::golden_dir() / "tokenizers" : *shared / "data" / "udhr";
    const std::string text = read_file((folder / name).string());
    const auto ids = vocabulary.tokenizer->encode(text, {.add_special_tokens = false});
    EXPECT_EQ(ids.size(), expected[0].get<std::size_t>()) << name;
    EXPECT_EQ(fnv1a(ids), expected[1].get<std::string>()) << name;
    if (std::string_view(GetParam()) != "qwen2") {  // which normalizes
      EXPECT_EQ(vocabulary.tokenizer->decode(ids), text) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SharedVocabulary,
                         ::testing::Values("gpt-2", "llama-bpe", "llama-spm", "phi-3", "qwen2"),
                         [](const auto& vocabulary) {
                           std::string name = vocabulary.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace tessera::text
