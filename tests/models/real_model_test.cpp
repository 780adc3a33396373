// Real models, when they are there, against an independent reader: see tools/make_golden_real_models.py.
#include <gtest/gtest.h>

#include <fstream>
#include <ostream>
#include <sstream>

#include "golden_model.h"
#include "ops/embedding.h"

namespace tessera::testing {
namespace {

struct WeightRow {
  std::string tensor;
  std::int32_t row = 0;
  std::uint32_t checksum = 0;
};

struct RealGolden {
  std::vector<TokenId> tokens;
  std::vector<std::size_t> columns;
  std::vector<std::int32_t> rows;
  std::vector<std::size_t> best;  // of each row
  std::vector<float> values;      // [rows, columns]
  std::vector<WeightRow> weights;
};

RealGolden read_real_golden(const std::string& name) {
  RealGolden golden;
  std::ifstream file(golden_dir() / "real_models" / (name + ".txt"));
  for (std::string line, kind, word; std::getline(file, line);) {
    std::istringstream words(line);
    words >> kind;
    if (kind == "tokens") {
      for (TokenId id = 0; words >> id;) golden.tokens.push_back(id);
    } else if (kind == "columns") {
      for (std::size_t id = 0; words >> id;) golden.columns.push_back(id);
    } else if (kind == "row") {
      std::int32_t row = 0;
      std::size_t best = 0;
      words >> row >> word >> best >> word;
      golden.rows.push_back(row);
      golden.best.push_back(best);
      for (float value = 0; words >> value;) golden.values.push_back(value);
    } else if (kind == "weight") {
      WeightRow weight;
      words >> weight.tensor >> weight.row >> std::hex >> weight.checksum;
      golden.weights.push_back(weight);
    }
  }
  return golden;
}

// CRC-32 as in zlib (reflected polynomial 0xEDB88320).
std::uint32_t crc32(std::span<const std::byte> bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
  }
  return crc ^ 0xffffffffU;
}

struct RealModel {
  std::string name;
  std::optional<std::filesystem::path> path;
  std::string absent;  // why it may be missing
  friend void PrintTo(const RealModel& model, std::ostream* out) { *out << model.name; }
};

std::vector<RealModel> real_models() {
  std::optional<std::filesystem::path> stories;
  if (const auto shared = shared_dir()) stories = *shared / "models" / "tinystories-656k";
  std::optional<std::filesystem::path> gemma;
  if (const auto beside = default_model()) gemma = beside->parent_path() / "gemma-3-270m-q4_k_m.gguf";
  return {
      {"tinystories-656k", stories, "../shared/models/tinystories-656k is not here"},
      {"smollm2-135m-q4_1", default_model(), "the default model has not been fetched (./quickstart does)"},
      {"gemma3-270m-q4_k_m", gemma, "gemma-3-270m-q4_k_m.gguf is not beside the default model"}};
}

class RealModels : public ::testing::TestWithParam<RealModel> {
 protected:
  void SetUp() override {
    if (!GetParam().path || !std::filesystem::exists(*GetParam().path)) GTEST_SKIP() << GetParam().absent;
    golden_ = read_real_golden(GetParam().name);
    ASSERT_FALSE(golden_.rows.empty());
  }
  RealGolden golden_;
};

// Bit by bit: a dequantised value is a sum of exact products, so there is one right answer.
TEST_P(RealModels, DequantisedWeightsAreThoseOfTheGgufPackage) {
  const auto files = formats::open_model_files(GetParam().path->string());
  for (const WeightRow& weight : golden_.weights) {
    const Tensor row = ops::embedding(std::span(&weight.row, 1), files.weights->load(weight.tensor));
    EXPECT_EQ(crc32(std::as_bytes(row.as<float>())), weight.checksum)
        << weight.tensor << " row " << weight.row;
  }
}

// Both sides compute in float32 on the same weights and differ in the order of their sums alone: n = 2048
// products at most, a sum then off by about sqrt(n)·2^-24 = 3e-6 of its size when the errors are independent,
// and some 100 to 200 sums in a row whose independent errors grow by their root once more, to 4e-5; below the
// 1e-4 asked of tiny models.
TEST_P(RealModels, LogitsAgreeWithTransformers) {
  constexpr double kTolerance = 1e-4;
  const auto model = load_model(*GetParam().path);
  SequenceRunner runner(*model);
  const std::vector<float> logits = runner.dense(golden_.tokens);
  const auto vocabulary = static_cast<std::size_t>(model->config().vocab_size);
  std::vector<float> found;
  for (std::size_t r = 0; r < golden_.rows.size(); ++r) {
    const std::span row =
        std::span(logits).subspan(static_cast<std::size_t>(golden_.rows[r]) * vocabulary, vocabulary);
    EXPECT_EQ(static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin()),
              golden_.best[r]);
    for (const std::size_t column : golden_.columns) found.push_back(row[column]);
  }
  EXPECT_LE(relative_difference(found, golden_.values), kTolerance);
}

std::string case_name(const ::testing::TestParamInfo<RealModel>& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(All, RealModels, ::testing::ValuesIn(real_models()), case_name);

}  // namespace
}  // namespace tessera::testing
