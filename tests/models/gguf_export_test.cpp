// Hugging Face folders as GGUF files: the same logits, and the tensors that an independent converter wrote.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/quantize_model.h"
#include "golden_model.h"
#include "support/test_paths.h"

namespace tessera::testing {
namespace {

namespace fs = std::filesystem;

// What GGUF cannot say, by golden model: dynamic NTK, attention scaled otherwise than by the head's size
// (Gemma), a window in the upper layers alone.
const std::set<std::string>& without_counterpart() {
  static const std::set<std::string> kNames = {"llama_dynamic", "qwen2_sliding", "gemma3_scaled",
                                               "linear_kinds"};
  return kNames;
}

std::vector<GoldenModel> folders() {
  std::vector<GoldenModel> found;
  for (const GoldenModel& golden : golden_models()) {
    if (!golden.gguf()) found.push_back(golden);
  }
  return found;
}

void convert(const fs::path& source, const fs::path& target, std::string_view recipe) {
  const auto job = engine::plan_quantization_job(formats::open_model_files(source.string()),
                                                 engine::quantization_recipe(recipe));
  engine::write_quantized(job, target.string());
}

std::int64_t context_of(const std::string& name) { return name == "phi3_long" ? 128 : 0; }

class GgufExport : public ::testing::TestWithParam<GoldenModel> {
 protected:
  TemporaryFolder folder_;
};

// The matrices are the same numbers; rope factors and constants pass through float32 once more, and pairs
// that lie otherwise are rotated by other instructions: the bound between two float32 runs of
// golden_model_test.cpp.
TEST_P(GgufExport, HasTheLogitsOfTheFolderOrNamesWhatItLacks) {
  const fs::path target = folder_.path() / "t.gguf";
  if (without_counterpart().contains(GetParam().name)) {
    try {
      convert(GetParam().path, target, "F32");
      ADD_FAILURE() << "converted " << GetParam().name;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unsupported) << error.what();
      EXPECT_THAT(error.what(), ::testing::HasSubstr(GetParam().name));
    }
    EXPECT_FALSE(fs::exists(target));
    return;
  }
  convert(GetParam().path, target, "F32");
  const Golden golden = read_golden(GetParam().name);
  const auto model = load_model(target, context_of(GetParam().name));
  EXPECT_LE(
      relative_difference(SequenceRunner(*model).paged(golden.tokens, golden.tokens.size()), golden.logits),
      1e-4);
}

TEST_P(GgufExport, HasTheTensorsOfTheIndependentConverter) {
  const fs::path theirs_path = GetParam().path.string() + ".gguf";
  if (!fs::exists(theirs_path) || without_counterpart().contains(GetParam().name)) {
    GTEST_SKIP() << "no GGUF file of " << GetParam().name;
  }
  const auto ours = engine::gguf_contents(formats::open_model_files(GetParam().path.string()));
  const auto theirs = formats::open_model_files(theirs_path.string()).weights;
  EXPECT_EQ(ours.architecture, theirs->architecture());
  std::set<std::string> names;
  for (std::size_t i = 0; i < ours.tensors.size(); ++i) {
    const std::string& name = ours.tensors[i].name;
    names.insert(name);
    ASSERT_NE(theirs->find(name), nullptr) << name;
    const Tensor a = ours.loads[i]();
    const Tensor b = theirs->load(name);
    ASSERT_TRUE(a.shape() == b.shape()) << name;
    if (a.dtype() != b.dtype()) continue;  // vectors of 16-bit models: theirs are kept as they were
    if (name.starts_with("rope_freqs")) {  // computed on both sides: a few units in the last place of float32
      for (std::size_t k = 0; k < b.as<float>().size(); ++k) {
        EXPECT_NEAR(a.as<float>()[k], b.as<float>()[k], b.as<float>()[k] * 1e-6) << name;
      }
      continue;
    }
    EXPECT_TRUE(std::equal(a.raw(), a.raw() + a.bytes(), b.raw(), b.raw() + b.bytes())) << name;
  }
  for (const TensorInfo& info : theirs->tensors()) EXPECT_TRUE(names.contains(info.name)) << info.name;
}

INSTANTIATE_TEST_SUITE_P(Folders, GgufExport, ::testing::ValuesIn(folders()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace tessera::testing
