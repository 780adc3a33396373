// Dequantisation of every quantised type against values that the Python package `gguf` computed
// (tools/make_golden_quantization.py), on every ISA of this CPU.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "support/test_paths.h"

namespace tessera::kernels {
namespace {

std::vector<char> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class QuantizationGolden : public ::testing::TestWithParam<DType> {};

// Both sides form the same float32 products and sums in the same order (scale products first, then times the
// integer, then the minimum), each rounded once, so equality is exact; the packed integers themselves have no
// rounding.
TEST_P(QuantizationGolden, EqualsTheIndependentReaderBitForBit) {
  const DType dtype = GetParam();
  const auto folder = testing::golden_dir() / "quantization";
  const std::vector<char> blocks = read_file(folder / (std::string(name(dtype)) + ".blocks"));
  const std::vector<char> bytes = read_file(folder / (std::string(name(dtype)) + ".values"));
  std::vector<float> expected(bytes.size() / sizeof(float));
  std::memcpy(expected.data(), bytes.data(), bytes.size());
  ASSERT_EQ(expected.size(), 1024U);
  ASSERT_EQ(blocks.size(), row_bytes(dtype, 1024));
  for (const Isa isa : available_isas()) {
    std::vector<float> found(expected.size(), NAN);
    table(isa).dequantize[static_cast<std::size_t>(dtype)](reinterpret_cast<const std::byte*>(blocks.data()),
                                                           found.data(), 1024);
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i], expected[i]) << name(dtype) << " on " << isa_name(isa) << ", element " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryQuantizedType, QuantizationGolden,
                         ::testing::Values(DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q8_0,
                                           DType::q2_k, DType::q3_k, DType::q4_k, DType::q5_k, DType::q6_k,
                                           DType::iq4_nl),
                         [](const auto& parameter) { return std::string(name(parameter.param)); });

}  // namespace
}  // namespace tessera::kernels
