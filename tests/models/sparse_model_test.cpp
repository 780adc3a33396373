// Models whose layers attend sparsely: what trains and what decodes agree, in one call, in pieces and token
// by token; and a window of our own configuration is the window of Hugging Face's.
#include <gtest/gtest.h>

#include <fstream>
#include <ostream>
#include <random>

#include "base/split_mix64.h"
#include "golden_model.h"
#include "models/gguf_export.h"
#include "nn/attention/attention_factory.h"
#include "nn/attention/flash_attention.h"
#include "support/error_of.h"

namespace tessera::testing {
namespace {

namespace fs = std::filesystem;

// A golden model with other lines at the beginning of its config.json; gone with this object.
class EditedModel {
 public:
  EditedModel(const std::string& golden, const std::string& settings,
              const std::vector<std::string>& without = {}) {
    const std::string name = "sparse_model_" + std::to_string(std::random_device{}());
    folder_ = fs::temp_directory_path() / name;
    fs::create_directory(folder_);
    for (const auto& entry : fs::directory_iterator(golden_models_dir() / golden)) {
      if (entry.path().filename() != "config.json") fs::copy(entry.path(), folder_ / entry.path().filename());
    }
    std::ifstream from(golden_models_dir() / golden / "config.json");
    std::ofstream to(folder_ / "config.json");
    std::string line;
    std::getline(from, line);
    to << "{\n " << settings << ",\n";
    while (std::getline(from, line)) {
      bool left_out = false;
      for (const std::string& key : without) left_out |= line.find('"' + key + '"') != line.npos;
      if (!left_out) to << line << "\n";
    }
  }
  ~EditedModel() { fs::remove_all(folder_); }
  EditedModel(const EditedModel&) = delete;
  EditedModel& operator=(const EditedModel&) = delete;

  const fs::path& path() const { return folder_; }

 private:
  fs::path folder_;
};

struct SparseCase {
  std::string name;
  std::string golden;
  std::string settings;
  friend void PrintTo(const SparseCase& sparse, std::ostream* out) { *out << sparse.name; }
};

const std::vector<SparseCase>& sparse_cases() {
  static const std::vector<SparseCase> cases = {
      {"Window", "llama", R"("attention_mechanism": "sliding_window", "attention_window": 5)"},
      {"Local", "gpt2", R"("attention_mechanism": "sparse_local", "attention_window": 7)"},
      {"Strided", "plain_transformer", R"("attention_mechanism": "sparse_strided", "attention_stride": 5)"},
      {"Fixed", "llama",
       R"("attention_mechanism": "sparse_fixed", "attention_stride": 6, "attention_columns": 2)"},
      {"Heads", "llama",
       R"("attention_mechanism": "sparse_heads", "attention_heads": ["sparse_local", "sparse_strided"], )"
       R"("attention_stride": 6)"},
      {"Alternating", "gpt2",
       R"("attention_mechanisms": ["sparse_strided", "sparse_fixed"], "attention_stride": 8)"},
      {"BigBird", "qwen3",
       R"("attention_mechanism": "bigbird", "attention_block": 4, "attention_random_blocks": 1)"},
      {"BigBirdBesideFlash", "llama",
       R"("attention_mechanisms": ["bigbird", "flash"], "attention_block": 3, "attention_seed": 8, )"
       R"("attention_random_blocks": 2)"},
  };
  return cases;
}

class SparseModels : public ::testing::TestWithParam<SparseCase> {};

// The bound of GoldenModels, for two forms of the same sums in float32.
TEST_P(SparseModels, TrainWhatTheyDecode) {
  const EditedModel files(GetParam().golden, GetParam().settings);
  const auto model = load_model(files.path());
  std::vector<TokenId> tokens;
  for (std::uint64_t i = 0; i < 50; ++i) {
    tokens.push_back(
        static_cast<TokenId>(split_mix64(i) % static_cast<std::uint64_t>(model->config().vocab_size)));
  }
  SequenceRunner runner(*model);
  const std::vector<float> whole = runner.paged(tokens, tokens.size());
  for (const std::size_t chunk : {1, 7, 16}) {
    ASSERT_EQ(runner.paged(tokens, chunk), whole) << "in pieces of " << chunk;
  }
  const auto trained = nn::make_attention_mechanism(model->config().attention);
  EXPECT_LE(relative_difference(runner.without_cache(tokens, *trained), whole), 1e-4);
  nn::FlashAttention flash;  // knows what the layers say, too
  EXPECT_LE(relative_difference(runner.without_cache(tokens, flash), whole), 1e-4);
  const auto full = load_model(golden_models_dir() / GetParam().golden);
  EXPECT_GT(relative_difference(SequenceRunner(*full).paged(tokens, tokens.size()), whole), 1e-3)
      << "the pattern makes a difference";
}

INSTANTIATE_TEST_SUITE_P(All, SparseModels, ::testing::ValuesIn(sparse_cases()),
                         [](const auto& test) { return test.param.name; });

TEST(SparseModel, AWindowIsThatOfHuggingFace) {
  const EditedModel files("mistral", R"("attention_mechanism": "sliding_window", "attention_window": 8)",
                          {"sliding_window"});
  const Golden golden = read_golden("mistral");
  const auto model = load_model(files.path());
  EXPECT_EQ(model->config().layers.front().sliding_window, 8);
  SequenceRunner runner(*model);
  EXPECT_LE(relative_difference(runner.paged(golden.tokens, 3), golden.logits), 1e-4);
  const auto trained = nn::make_attention_mechanism(model->config().attention);
  EXPECT_LE(relative_difference(runner.without_cache(golden.tokens, *trained), golden.logits), 1e-4);
}

TEST(SparseModel, DoesNotBecomeGguf) {
  const EditedModel files("llama", R"("attention_mechanism": "sparse_strided", "attention_stride": 5)");
  const std::string error =
      error_of([&] { models::export_to_gguf(formats::open_model_files(files.path().string()).weights); });
  EXPECT_NE(error.find("attention_mechanism"), error.npos) << error;
}

}  // namespace
}  // namespace tessera::testing
