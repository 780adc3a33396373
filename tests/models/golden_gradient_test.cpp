// The loss and every parameter's gradient of each architecture against PyTorch:
// tools/make_golden_gradients.py.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "autograd/tape.h"
#include "base/thread_pool.h"
#include "formats/safetensors.h"
#include "golden_model.h"
#include "nn/attention/flash_attention.h"
#include "ops/activation_checkpoint.h"
#include "ops/cross_entropy.h"
#include "ops/dropout.h"

namespace tessera::testing {
namespace {

using Gradients = std::map<std::string, std::vector<float>>;

std::filesystem::path gradients_dir() { return golden_dir() / "gradients"; }

// Every tensor of NAME.safetensors, the loss among them.
Gradients read_gradients(const std::string& name) {
  const auto file = MappedFile::open((gradients_dir() / (name + ".safetensors")).string());
  Gradients gradients;
  for (const formats::FoundTensor& found : formats::read_safetensors_header(*file).tensors) {
    std::vector<float> values(found.info.bytes / sizeof(float));
    std::memcpy(values.data(), file->bytes().data() + found.info.offset, found.info.bytes);
    gradients[found.info.name] = std::move(values);
  }
  return gradients;
}

// The golden tokens as two sequences side by side.
struct TwoSequences {
  explicit TwoSequences(const std::vector<TokenId>& golden) : tokens(golden) {
    const auto half = static_cast<std::int32_t>(tokens.size() / 2);
    query_start = {0, half, 2 * half};
    context_length = {half, half};
    for (std::int32_t t = 0; t < 2 * half; ++t) {
      positions.push_back(t % half);
      const bool last = t % half == half - 1;
      targets.push_back(last ? ops::kIgnoredTarget : tokens[static_cast<std::size_t>(t) + 1]);
    }
  }
  RaggedBatch batch() const {
    return {.tokens = tokens,
            .positions = positions,
            .query_start = query_start,
            .context_length = context_length,
            .slot_mapping = {},
            .block_tables = {}};
  }
  std::vector<TokenId> tokens;
  std::vector<std::int32_t> positions, query_start, context_length, targets;
};

// The matrix as the file keeps it.
std::vector<float> in_file_order(const models::Parameter& parameter, const Tensor& gradient) {
  const std::span<const float> values = gradient.as<float>();
  if (!parameter.stored_transposed) return {values.begin(), values.end()};
  std::vector<float> turned;
  const auto rows = static_cast<std::size_t>(gradient.dim(0));
  const auto columns = static_cast<std::size_t>(gradient.dim(1));
  for (std::size_t column = 0; column < columns; ++column) {
    for (std::size_t row = 0; row < rows; ++row) turned.push_back(values[row * columns + column]);
  }
  return turned;
}

Gradients compute_gradients(const models::Model& model, const TwoSequences& sequences,
                            nn::AttentionMechanism& attention) {
  autograd::Tape tape;
  for (const models::Parameter& parameter : model.parameters()) tape.watch(parameter.tensor);
  const autograd::RecordingScope recording(tape);
  const Tensor hidden = model.forward(sequences.batch(), attention);
  const models::OutputHead head = model.output_head();
  const Tensor loss = ops::linear_cross_entropy(hidden, head.weight, sequences.targets,
                                                {.logit_softcap = head.logit_softcap});
  Gradients gradients{{"loss", {loss.as<float>()[0]}}};
  tape.backward(loss);
  for (const models::Parameter& parameter : model.parameters()) {
    gradients[parameter.name] = in_file_order(parameter, tape.gradient(parameter.tensor));
  }
  return gradients;
}

double largest_of(const std::vector<float>& values) {
  double largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(double{value}));
  return largest;
}

class GoldenGradients : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    model_ = load_model(golden_models_dir() / GetParam(), 0, models::WeightForm::trainable);
  }
  // Both sides compute in float32 and round each of some forty sums along the path in another order, each by
  // at most n u = 64 * 6e-8 of its size: 1.5e-4 of a gradient's largest element. What is zero in exact
  // arithmetic (a bias of all keys, which softmax does not see) is noise on both sides: it is held to a
  // hundredth of the model's largest gradient.
  void expect_agreement(nn::AttentionMechanism& attention) {
    const Gradients expected = read_gradients(GetParam());
    const Gradients found =
        compute_gradients(*model_, TwoSequences(read_golden(GetParam()).tokens), attention);
    ASSERT_EQ(found.size(), expected.size());
    double largest = 0;
    for (const auto& [name, values] : expected) {
      if (name != "loss") largest = std::max(largest, largest_of(values));
    }
    for (const auto& [name, values] : expected) {
      ASSERT_TRUE(found.contains(name)) << name;
      const double size = std::max(largest_of(values), 1e-2 * largest);
      EXPECT_LE(relative_difference(found.at(name), values) * largest_of(values), 1.5e-4 * size) << name;
    }
  }
  std::unique_ptr<models::Model> model_;
};

TEST_P(GoldenGradients, DenseAttentionAgreesWithTheOracle) {
  nn::DenseAttention attention;
  expect_agreement(attention);
}

TEST_P(GoldenGradients, FlashAttentionAgreesWithTheOracle) {
  nn::FlashAttention attention;
  expect_agreement(attention);
}

TEST_P(GoldenGradients, AreTheSameBitsOnAnyNumberOfThreads) {
  const TwoSequences sequences(read_golden(GetParam()).tokens);
  nn::FlashAttention attention;
  const int threads = thread_pool().size();
  set_thread_count(1);
  const Gradients alone = compute_gradients(*model_, sequences, attention);
  set_thread_count(3);
  const Gradients together = compute_gradients(*model_, sequences, attention);
  set_thread_count(threads);
  EXPECT_EQ(alone, together);
}

// The masks of dropout are drawn again, so they tell too whether a layer was repeated as it was.
TEST_P(GoldenGradients, AreTheSameBitsWithCheckpointedActivations) {
  const TwoSequences sequences(read_golden(GetParam()).tokens);
  nn::FlashAttention attention;
  const auto compute = [&](bool checkpointing) {
    const ops::ActivationCheckpointScope scope(checkpointing);
    const ops::DropoutScope dropout(0.2, 5);
    return compute_gradients(*model_, sequences, attention);
  };
  EXPECT_EQ(compute(true), compute(false));
}

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(gradients_dir())) {
    names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenGradients, ::testing::ValuesIn(golden_names()),
                         [](const auto& name) { return name.param; });

TEST(GoldenGradientFiles, CoverEveryRegisteredArchitecture) {
  std::set<std::string> covered;
  for (const std::string& name : golden_names()) {
    covered.insert(load_model(golden_models_dir() / name)->config().architecture);
  }
  for (const models::ArchitectureNames& names : models::registered_architectures()) {
    EXPECT_TRUE(covered.contains(names.name)) << names.name << " has no golden gradients";
  }
}

}  // namespace
}  // namespace tessera::testing
