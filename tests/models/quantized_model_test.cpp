// Models written again in every type: they load, compute what the source computes within the error of the
// type, and keep its keys.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/thread_pool.h"
#include "engine/quantize_model.h"
#include "formats/gguf_writer.h"
#include "golden_model.h"
#include "ops/quantize.h"
#include "support/test_paths.h"

namespace tessera::testing {
namespace {

namespace fs = std::filesystem;
using engine::QuantizationJob;

// What rounding moves an element by at most, over the largest magnitude of its row: half a step of the type,
// on a grid that spans at most twice that magnitude. K-quants give up part of that for a smaller sum of
// squares, at most the factor that tests/numerics/quantize_test.cpp derives from their weights, sqrt(1 +
// sqrt(32)) < 2.6, times sqrt(32) when all of a sub-block's error falls on one element.
double largest_error(DType dtype) {
  // Scale and minimum are rounded to f16, half of 2^-10 of them; at most 2 + 1 times the largest magnitude.
  constexpr double kScaleRounding = 3.0 * 0x1p-11;
  switch (dtype) {
    case DType::f32:
      return 0.0;
    case DType::f16:
      return 0x1p-11;
    case DType::bf16:
      return 0x1p-8;
    case DType::q8_0:
      return 1.0 / 254 + kScaleRounding;
    case DType::q5_0:
      return 1.0 / 16 + kScaleRounding;  // one side has a level less: its extreme may be off by a whole step
    case DType::q5_1:
      return 1.0 / 31 + kScaleRounding;
    case DType::q4_0:
      return 1.0 / 8 + kScaleRounding;
    case DType::q4_1:
      return 1.0 / 15 + kScaleRounding;
    case DType::q6_k:
      return 2.6 * std::sqrt(32.0) / 31;
    case DType::q5_k:
      return 2.6 * std::sqrt(32.0) / 31;
    default:
      return 2.6 * std::sqrt(32.0) / 15;
  }
}

std::string write(const fs::path& source, const fs::path& target, const std::string& recipe) {
  const QuantizationJob job = engine::plan_quantization_job(formats::open_model_files(source.string()),
                                                            engine::quantization_recipe(recipe));
  engine::write_quantized(job, target.string());
  return target.string();
}

std::vector<float> logits_of(const fs::path& path, std::span<const TokenId> tokens) {
  const auto model = load_model(path);
  return SequenceRunner(*model).paged(tokens, tokens.size());
}

// Root mean square of a - b over that of b.
double relative_rms(std::span<const float> a, std::span<const float> b) {
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(double{a[i]} - double{b[i]}, 2.0);
    size += double{b[i]} * double{b[i]};
  }
  return std::sqrt(difference / size);
}

// A two-layer llama whose rows hold whole super-blocks, of random weights.
class WideModel {
 public:
  explicit WideModel(const fs::path& path) {
    formats::GgufWriter writer("llama");
    const auto set = [&](const char* key, std::int64_t value) {
      writer.set(std::string("llama.") + key, value);
    };
    set("context_length", 64);
    set("embedding_length", kWidth);
    set("block_count", 2);
    set("feed_forward_length", kWidth);
    set("attention.head_count", 4);
    set("attention.head_count_kv", 2);
    writer.set("llama.attention.layer_norm_rms_epsilon", 1e-5);
    writer.set("llama.rope.freq_base", 10000.0);
    matrix(writer, "token_embd.weight", 64);
    matrix(writer, "output.weight", 64);
    vector(writer, "output_norm.weight");
    for (const std::string layer : {"blk.0.", "blk.1."}) {
      vector(writer, layer + "attn_norm.weight");
      vector(writer, layer + "ffn_norm.weight");
      for (const char* name : {"attn_q", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
        matrix(writer, layer + name + ".weight", kWidth);
      }
      for (const char* name : {"attn_k", "attn_v"}) matrix(writer, layer + name + ".weight", kWidth / 2);
    }
    writer.write(path.string());
  }

 private:
  static constexpr std::int64_t kWidth = 256;

  void matrix(formats::GgufWriter& writer, const std::string& name, std::int64_t rows) {
    std::normal_distribution<float> normal(0.0F, 1.0F / 16.0F);
    Tensor tensor = Tensor::empty({rows, kWidth});
    for (float& value : tensor.as_mutable<float>()) value = normal(random_);
    writer.add_tensor(name, tensor);
  }
  void vector(formats::GgufWriter& writer, const std::string& name) {
    Tensor tensor = Tensor::empty({kWidth});
    for (float& value : tensor.as_mutable<float>()) value = 1.0F;
    writer.add_tensor(name, tensor);
  }

  std::mt19937 random_{7};
};

class QuantizedModels : public ::testing::TestWithParam<std::string> {
 protected:
  TemporaryFolder folder_;
  DType dtype() const { return engine::quantization_recipe(GetParam()).dtype; }
};

TEST_P(QuantizedModels, EveryTensorOfEveryGoldenModelIsWithinTheErrorOfItsType) {
  for (const GoldenModel& golden : golden_models()) {
    if (!golden.gguf()) continue;
    const auto before = formats::open_model_files(golden.path.string()).weights;
    const auto after =
        formats::open_model_files(write(golden.path, folder_.path() / "t.gguf", GetParam())).weights;
    ASSERT_EQ(before->tensors().size(), after->tensors().size()) << golden.name;
    for (const TensorInfo& info : before->tensors()) {
      const Tensor written = after->load(info.name);
      ASSERT_TRUE(written.shape() == info.shape) << golden.name << " " << info.name;
      const Tensor wide_before = ops::quantize(before->load(info.name), DType::f32, info.name);
      const Tensor wide_after = ops::quantize(written, DType::f32, info.name);
      const auto expected = wide_before.as<float>();
      const auto found = wide_after.as<float>();
      const auto columns = static_cast<std::size_t>(info.shape[-1]);
      for (std::size_t row = 0; row < expected.size(); row += columns) {
        double largest = 0;
        for (std::size_t i = row; i < row + columns; ++i)
          largest = std::max(largest, std::abs(double{expected[i]}));
        for (std::size_t i = row; i < row + columns; ++i) {
          ASSERT_NEAR(found[i], expected[i], largest * largest_error(written.dtype()) + 1e-7)
              << golden.name << " " << info.name << " " << i;
        }
      }
    }
    const Golden values = read_golden(golden.name);
    const auto logits = logits_of(folder_.path() / "t.gguf", values.tokens);
    EXPECT_LE(relative_difference(logits, logits), 0.0) << "not finite: " << golden.name;
    if (dtype() == DType::f32 && !golden.name.starts_with("llama_")) {
      EXPECT_EQ(logits, logits_of(golden.path, values.tokens)) << golden.name;
    }
  }
}

// Rounding errors of the elements of a row add like independent noise. A matrix whose elements are off by the
// share e (root mean square) of their own size gives outputs off by the share e; ten matrices follow each
// other on the longest path (embedding; q, k or v, o, gate or up, down in each of 2 layers; the head) and add
// as squares: sqrt(10) e. A factor of two is left for what norms and the softmax make of it, 1e-4 for
// float32's own error.
TEST_P(QuantizedModels, AWideModelKeepsItsLogits) {
  const fs::path source = folder_.path() / "wide.gguf";
  const WideModel model(source);
  const fs::path target = folder_.path() / "quantized.gguf";
  write(source, target, GetParam());
  const auto before = formats::open_model_files(source.string()).weights;
  const auto after = formats::open_model_files(target.string()).weights;
  double worst = 0;
  for (const TensorInfo& info : before->tensors()) {
    const Tensor wide = ops::quantize(after->load(info.name), DType::f32, info.name);
    worst = std::max(worst, relative_rms(wide.as<float>(), before->load(info.name).as<float>()));
  }
  const std::vector<TokenId> tokens = {1, 5, 9, 33, 60, 2, 2, 17};
  const double error = relative_rms(logits_of(target, tokens), logits_of(source, tokens));
  EXPECT_LE(error, 1e-4 + 2.0 * std::sqrt(10.0) * worst);
  EXPECT_EQ(after->find("blk.0.ffn_up.weight")->dtype, dtype());
  EXPECT_EQ(after->find("blk.0.attn_norm.weight")->dtype, DType::f32);
}

TEST_P(QuantizedModels, TheFileDependsOnNothingButSourceAndType) {
  const fs::path source = golden_models_dir() / "llama_llama3.gguf";
  const int before = thread_pool().size();
  set_thread_count(1);
  const std::string first = read_file(write(source, folder_.path() / "a.gguf", GetParam()));
  set_thread_count(3);
  const std::string second = read_file(write(source, folder_.path() / "b.gguf", GetParam()));
  set_thread_count(before);
  EXPECT_EQ(first, second);
}

TEST_P(QuantizedModels, KeysAndTheirTypesAreKept) {
  for (const GoldenModel& golden : golden_models()) {
    if (!golden.gguf()) continue;
    const std::string target = write(golden.path, folder_.path() / "t.gguf", GetParam());
    const auto source = engine::gguf_contents(formats::open_model_files(golden.path.string()));
    const auto written = engine::gguf_contents(formats::open_model_files(target));
    const auto& before = source.pairs;
    const auto& after = written.pairs;
    ASSERT_EQ(before.size(), after.size()) << golden.name;
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(before[i].key, after[i].key);
      EXPECT_EQ(before[i].type, after[i].type) << before[i].key;
      EXPECT_TRUE(before[i].value == after[i].value) << before[i].key;
    }
    EXPECT_EQ(formats::open_model_files(target).weights->metadata().find_int("general.file_type"),
              engine::quantization_recipe(GetParam()).file_type);
  }
}

INSTANTIATE_TEST_SUITE_P(Recipes, QuantizedModels, ::testing::ValuesIn(engine::quantization_recipe_names()),
                         [](const auto& parameter) { return parameter.param; });

// tools/make_golden_quantize.py wrote the same model with the Python package `gguf`.
TEST(QuantizedModel, TensorsEqualThoseOfAnIndependentWriter) {
  TemporaryFolder folder;
  for (const std::string type : {"Q8_0", "Q4_0"}) {
    engine::QuantizationRecipe recipe = engine::quantization_recipe(type);
    recipe.pure = true;
    const QuantizationJob job = engine::plan_quantization_job(
        formats::open_model_files((golden_models_dir() / "llama.gguf").string()), recipe);
    const std::string target = (folder.path() / "ours.gguf").string();
    engine::write_quantized(job, target);
    const auto ours = formats::open_model_files(target).weights;
    const auto theirs =
        formats::open_model_files((golden_dir() / "quantize" / ("llama." + type + ".gguf")).string()).weights;
    ASSERT_EQ(ours->tensors().size(), theirs->tensors().size());
    for (const TensorInfo& info : theirs->tensors()) {
      const Tensor a = ours->load(info.name);
      const Tensor b = theirs->load(info.name);
      ASSERT_EQ(a.dtype(), b.dtype()) << info.name;
      EXPECT_TRUE(std::equal(a.raw(), a.raw() + a.bytes(), b.raw(), b.raw() + b.bytes())) << info.name;
    }
  }
}

TEST(QuantizedModel, AStoppedConversionLeavesNothing) {
  TemporaryFolder folder;
  const QuantizationJob job =
      engine::plan_quantization_job(formats::open_model_files((golden_models_dir() / "llama.gguf").string()),
                                    engine::quantization_recipe("Q8_0"));
  const std::string target = (folder.path() / "t.gguf").string();
  int reports = 0;
  const auto stop = [&](const Progress& progress) {
    EXPECT_EQ(progress.stage, "quantize");
    EXPECT_LE(progress.done, progress.total);
    if (++reports == 3) fail(ErrorKind::cancelled, "stopped");
  };
  EXPECT_THROW(engine::write_quantized(job, target, stop), Error);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(QuantizedModel, TheSourceIsNotATarget) {
  TemporaryFolder folder;
  const fs::path source = folder.path() / "m.gguf";
  fs::copy_file(golden_models_dir() / "llama.gguf", source);
  fs::create_symlink(source, folder.path() / "link.gguf");
  const QuantizationJob job = engine::plan_quantization_job(formats::open_model_files(source.string()),
                                                            engine::quantization_recipe("Q8_0"));
  for (const fs::path& target : {source, folder.path() / "link.gguf", folder.path()}) {
    EXPECT_THROW(engine::write_quantized(job, target.string()), Error) << target;
  }
  EXPECT_EQ(read_file(source.string()), read_file((golden_models_dir() / "llama.gguf").string()));
}

TEST(QuantizedModel, AValueThatCannotBeStoredIsNamed) {
  TemporaryFolder folder;
  const std::string source = (folder.path() / "bad.gguf").string();
  formats::GgufWriter writer("llama");
  Tensor tensor = Tensor::zeros({2, 32});
  tensor.as_mutable<float>()[40] = INFINITY;
  writer.add_tensor("blk.0.ffn_up.weight", tensor);
  writer.write(source);
  const QuantizationJob job =
      engine::plan_quantization_job(formats::open_model_files(source), engine::quantization_recipe("Q8_0"));
  try {
    engine::write_quantized(job, (folder.path() / "t.gguf").string());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_THAT(error.what(), ::testing::AllOf(::testing::HasSubstr("bad.gguf"),
                                               ::testing::HasSubstr("blk.0.ffn_up.weight"),
                                               ::testing::HasSubstr("row 1, column 8")));
  }
  EXPECT_FALSE(fs::exists(folder.path() / "t.gguf"));
}

}  // namespace
}  // namespace tessera::testing
