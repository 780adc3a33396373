// tokenizer.json as a GGUF vocabulary: the same ids, or an error that says it cannot be.
#include "engine/vocabulary_export.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "support/test_paths.h"
#include "text/tokenizer.h"

namespace tessera::testing {
namespace {

namespace fs = std::filesystem;

const nlohmann::json& golden() {
  static const nlohmann::json kGolden = [] {
    std::ifstream file(golden_dir() / "tokenizers" / "golden.json");
    return nlohmann::json::parse(file);
  }();
  return kGolden;
}

TEST(VocabularyExport, GivesTheSameIdsOrSaysThatItCannot) {
  std::set<std::string> converted;
  for (const auto& entry : fs::directory_iterator(golden_dir() / "tokenizers")) {
    const std::string path = (entry.path() / "tokenizer.json").string();
    if (!fs::exists(path)) continue;
    Metadata metadata;
    const auto original = text::load_tokenizer_json(path);
    try {
      metadata =
          engine::export_vocabulary(path, "", static_cast<std::int64_t>(original->vocabulary_size()) + 3);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unsupported) << error.what();
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      continue;
    }
    const std::string name = entry.path().filename().string();
    converted.insert(name);
    const auto exported = text::load_gguf_tokenizer(metadata);
    EXPECT_EQ(exported->vocabulary_size(), original->vocabulary_size() + 3)
        << name;  // padded to the embedding
    for (const auto& text : golden().at("texts")) {
      const auto ids = original->encode(text.get<std::string>());
      const auto unknown = metadata.find_int("tokenizer.ggml.unknown_token_id");
      if (unknown && std::ranges::find(ids, *unknown) != ids.end()) continue;
      EXPECT_EQ(exported->encode(text.get<std::string>()), ids) << name << ": " << text;
    }
  }
  for (const char* name : {"gpt2", "llama3", "llama2", "qwen2", "starcoder"}) {
    EXPECT_TRUE(converted.contains(name)) << name;
  }
  EXPECT_FALSE(converted.contains("bert-like"));
}

TEST(VocabularyExport, MoreTokensThanRowsAreAnError) {
  const std::string path = (golden_dir() / "tokenizers" / "gpt2" / "tokenizer.json").string();
  EXPECT_THROW((void)engine::export_vocabulary(path, "", 3), Error);
}

}  // namespace
}  // namespace tessera::testing
