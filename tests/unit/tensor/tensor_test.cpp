#include "tensor/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tensor/weight_source.h"

namespace tessera {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(DType, NamesLeadBackToTheirTypes) {
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(name(dtype)), dtype);
  }
  EXPECT_EQ(dtype_from_name("bfloat16"), DType::bf16);
  EXPECT_EQ(dtype_from_name("q4_k"), DType::q4_k);
  EXPECT_EQ(dtype_from_name("float8_e4m3fn"), std::nullopt);
}

TEST(DType, RowsHoldWholeBlocks) {
  EXPECT_EQ(row_bytes(DType::q4_1, 576), 576U / 32 * 20);
  EXPECT_EQ(row_bytes(DType::q6_k, 512), 420U);
  EXPECT_THROW((void)row_bytes(DType::q4_k, 576), Error);
  EXPECT_THROW((void)row_bytes(DType::f32, -1), Error);
  EXPECT_THROW((void)row_bytes(DType::i64, std::int64_t{1} << 62), Error);
}

TEST(Shape, RejectsWhatCannotBe) {
  EXPECT_THROW(Shape({-1}), Error);
  EXPECT_THROW(Shape({1, 2, 3, 4, 5, 6}), Error);
  EXPECT_THROW(Shape({std::int64_t{1} << 32, std::int64_t{1} << 32}), Error);
  const Shape shape{2, 3, 4};
  EXPECT_EQ(shape[-1], 4);
  EXPECT_EQ(shape.elements(), 24);
  EXPECT_EQ(shape.to_string(), "[2, 3, 4]");
  EXPECT_THROW((void)shape[3], Error);
}

TEST(Tensor, RowsAndReshapeShareStorage) {
  Tensor tensor = Tensor::from_values({3, 2}, std::vector<float>{0, 1, 2, 3, 4, 5});
  const Tensor tail = tensor.rows(1, 3);
  EXPECT_THAT(tail.as<float>(), ElementsAre(2, 3, 4, 5));
  tensor.as_mutable<float>()[2] = 9;
  EXPECT_THAT(tail.reshape({4}).as<float>(), ElementsAre(9, 3, 4, 5));
  EXPECT_THROW((void)tensor.rows(2, 4), Error);
  EXPECT_THROW((void)tensor.reshape({5}), Error);
  EXPECT_THROW((void)tensor.as<double>(), Error);
}

TEST(Tensor, QuantizedRowsAreWholeBlocks) {
  const Tensor tensor = Tensor::zeros({4, 64}, DType::q4_0);
  EXPECT_EQ(tensor.bytes(), 4U * 2 * 18);
  EXPECT_EQ(tensor.rows(1, 2).byte_offset(), 36U);
  EXPECT_THROW((void)tensor.as<float>(), Error);
  EXPECT_THROW((void)Tensor::zeros({4, 33}, DType::q4_0), Error);
}

TEST(Tensor, AViewMustFitItsStorage) {
  const auto owner = std::make_shared<std::vector<std::byte>>(64);
  const auto storage = Storage::borrow(*owner, owner);
  EXPECT_EQ(Tensor::view(storage, 0, {16}, DType::f32).bytes(), 64U);
  EXPECT_THROW((void)Tensor::view(storage, 4, {16}, DType::f32), Error);
  EXPECT_THROW((void)Tensor::view(storage, 65, {0}, DType::f32), Error);
  Tensor mapped = Tensor::view(storage, 0, {16}, DType::f32);
  EXPECT_THROW((void)mapped.mutable_raw(), Error);
}

TEST(Tensor, MemoryIsAligned) {
  for (const std::int64_t size : {1, 3, 1000}) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(Tensor::empty({size}).raw()) % 64, 0U);
  }
}

class OneTensor final : public WeightSource {
 public:
  NamingScheme naming() const override { return NamingScheme::hugging_face; }
  std::string_view architecture() const override { return "none"; }
  const Metadata& metadata() const override { return metadata_; }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  const TensorInfo* find(std::string_view wanted) const override {
    return wanted == "a.weight" ? infos_.data() : nullptr;
  }
  Tensor load(std::string_view /*name*/) const override { return Tensor::zeros({2, 3}); }
  const std::string& origin() const override { return origin_; }

 private:
  Metadata metadata_;
  std::vector<TensorInfo> infos_{{"a.weight", DType::f32, {2, 3}, "model.safetensors", 128, 24}};
  std::string origin_ = "folder";
};

TEST(WeightSource, SaysWhatWasExpectedAndWhatWasFound) {
  const OneTensor source;
  EXPECT_EQ(load_expecting(source, "a.weight", {2, 3}).bytes(), 24U);
  try {
    (void)load_expecting(source, "a.weight", {3, 2});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("model.safetensors: tensor 'a.weight' at byte 128: expected shape [3, 2], "
                          "found [2, 3]"));
  }
  EXPECT_THROW((void)load_expecting(source, "b.weight", {1}), Error);
}

}  // namespace
}  // namespace tessera
