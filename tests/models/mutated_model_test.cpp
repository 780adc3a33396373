// Files with a few wrong bytes: each is rejected with one of our errors, or loads and runs; nothing else
// happens.
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "golden_model.h"

namespace tessera::testing {
namespace {

namespace fs = std::filesystem;

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// Loads and, if that works, runs a few tokens. True when it ran; false when an Error of one line came
// instead.
bool loads_and_runs(const fs::path& path) {
  try {
    const auto model = load_model(path);
    SequenceRunner runner(*model);
    // A mutated vocabulary may be smaller than any id; the head may be of another size, never of another
    // memory.
    const std::vector<TokenId> tokens = {0, 1, 2};
    EXPECT_FALSE(runner.dense(tokens).empty());
    return true;
  } catch (const Error& error) {
    EXPECT_NE(error.kind(), ErrorKind::internal) << error.what();
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
    return false;
  }
}

std::string mutated(std::string bytes, std::size_t begin, std::size_t end, std::mt19937& random) {
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  for (std::size_t i = 0, count = 1 + below(3); i < count; ++i) {
    const std::size_t at = begin + below(end - begin);
    const char extreme[] = {'\0', '\xff', '\x7f', '\x80'};
    const char flipped = static_cast<char>(bytes[at] ^ static_cast<char>(1 << below(8)));
    bytes[at] = below(2) == 0 ? extreme[below(4)] : flipped;
  }
  return bytes;
}

class MutatedModels : public ::testing::TestWithParam<GoldenModel> {};

TEST_P(MutatedModels, AreRejectedOrRun) {
  constexpr int kMutations = 60;
  std::mt19937 random(std::hash<std::string>{}(GetParam().name));
  TemporaryFolder folder;
  int rejected = 0;
  if (GetParam().gguf()) {
    const std::string original = read_file(GetParam().path.string());
    const std::size_t header = std::min<std::size_t>(original.size(), 3000);  // keys, values and tensor list
    for (int i = 0; i < kMutations; ++i) {
      const fs::path path = folder.path() / "model.gguf";
      write_file(path, mutated(original, 0, header, random));
      rejected += loads_and_runs(path) ? 0 : 1;
    }
  } else {
    for (const auto& entry : fs::directory_iterator(GetParam().path)) {
      fs::copy(entry.path(), folder.path() / entry.path().filename());
    }
    const std::string config = read_file((folder.path() / "config.json").string());
    for (int i = 0; i < kMutations; ++i) {
      write_file(folder.path() / "config.json", mutated(config, 0, config.size(), random));
      rejected += loads_and_runs(folder.path()) ? 0 : 1;
    }
  }
  EXPECT_GT(rejected, kMutations / 10);
}

std::string case_name(const ::testing::TestParamInfo<GoldenModel>& info) {
  return info.param.name + (info.param.gguf() ? "_gguf" : "");
}
INSTANTIATE_TEST_SUITE_P(All, MutatedModels, ::testing::ValuesIn(golden_models()), case_name);

// Every length a file can be cut to near the places where its parts meet, and a spread of others.
TEST(TruncatedModels, AreRejected) {
  TemporaryFolder folder;
  const fs::path path = folder.path() / "model.gguf";
  const std::string original = read_file((golden_models_dir() / "llama.gguf").string());
  for (std::size_t length = 0; length < original.size(); length += length < 3000 ? 7 : 1009) {
    write_file(path, original.substr(0, length));
    EXPECT_FALSE(loads_and_runs(path)) << length << " bytes";
  }
}

}  // namespace
}  // namespace tessera::testing
