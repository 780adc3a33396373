#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "describe_source.h"
#include "formats/safetensors_writer.h"
#include "support/error_of.h"

namespace tessera::formats {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;

std::string with_length(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(data_bytes, '\1');
}

SafetensorsHeader read(const std::string& header, std::size_t data_bytes) {
  return read_safetensors_header(
      *MappedFile::from_bytes("test.safetensors", with_length(header, data_bytes)));
}

std::string error(const std::string& header, std::size_t data_bytes) {
  return error_of([&] { read(header, data_bytes); });
}

// One tensor "t" with these fields.
std::string one(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return fmt::format(R"({{"t":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape, offsets);
}

std::string describe(const MappedFile& file) {
  SafetensorsHeader header = read_safetensors_header(file);
  std::ranges::sort(header.tensors, {}, [](const FoundTensor& tensor) { return tensor.info.name; });
  std::string text;
  for (const FoundTensor& tensor : header.tensors) {
    text += fmt::format("tensor {} {} {} {}\n", tensor.info.name, name(tensor.info.dtype),
                        tensor.info.shape.to_string(),
                        hex(file.bytes().subspan(tensor.info.offset, tensor.info.bytes)));
  }
  for (const auto& [key, value] : header.metadata) text += fmt::format("metadata {} {}\n", key, value);
  return text;
}

TEST(Safetensors, ReadsWhatThePythonPackageWrote) {
  EXPECT_EQ(describe(*MappedFile::open(golden_path("small.safetensors"))),
            golden_text("small.safetensors.txt"));
}

TEST(Safetensors, WriterAndReaderAgree) {
  SafetensorsWriter writer;
  writer.set_metadata("format", "pt");
  writer.set_metadata("odd \"key\"\n", "back\\slash");
  writer.add_tensor("bytes", Tensor::zeros({3}, DType::u8));  // odd sizes first: the writer keeps all aligned
  writer.add_tensor("half", Tensor::zeros({5}, DType::f16));
  writer.add_tensor("long", Tensor::zeros({1}, DType::i64));
  writer.add_tensor("wide \"name\"", Tensor::from_values({2, 1}, std::vector<float>{1.5F, -2.0F}));
  writer.add_tensor("none", Tensor::zeros({0, 7}));
  const auto file = MappedFile::from_bytes("test.safetensors", writer.bytes());
  const SafetensorsHeader header = read_safetensors_header(*file);
  EXPECT_EQ(header.metadata.at("odd \"key\"\n"), "back\\slash");
  ASSERT_EQ(header.tensors.size(), 5U);
  const auto wide =
      std::ranges::find(header.tensors, "wide \"name\"", [](const auto& t) { return t.info.name; });
  ASSERT_NE(wide, header.tensors.end());
  EXPECT_EQ(wide->info.shape, (Shape{2, 1}));
  EXPECT_EQ(hex(file->bytes().subspan(wide->info.offset, wide->info.bytes)), "0000c03f000000c0");
  for (const FoundTensor& tensor : header.tensors) {
    EXPECT_EQ(tensor.info.offset % traits(tensor.info.dtype).block_bytes, 0U) << tensor.info.name;
  }
}

TEST(Safetensors, WriterRefusesWhatCannotBeWritten) {
  SafetensorsWriter writer;
  writer.add_tensor("t", Tensor::zeros({1}));
  EXPECT_THAT(error_of([&] { writer.add_tensor("t", Tensor::zeros({1})); }), HasSubstr("twice"));
  EXPECT_THAT(error_of([&] { writer.add_tensor("__metadata__", Tensor::zeros({1})); }),
              HasSubstr("reserved"));
  EXPECT_THAT(error_of([&] { writer.add_tensor("q", Tensor::zeros({32}, DType::q4_0)); }), HasSubstr("Q4_0"));
  writer.add_tensor({"liar", DType::f32, Shape{2}, [] { return Tensor::zeros({3}); }});
  EXPECT_THAT(error_of([&] { writer.bytes(); }), HasSubstr("'liar'"));
}

TEST(Safetensors, RejectsHeadersThatAreNone) {
  const auto raw = [](const std::string& bytes) {
    return error_of([&] { read_safetensors_header(*MappedFile::from_bytes("test.safetensors", bytes)); });
  };
  EXPECT_THAT(raw(""),
              HasSubstr("test.safetensors: header at byte 0: expected 8 bytes of header length, found 0"));
  EXPECT_THAT(raw(std::string(8, '\xff')), HasSubstr("at most 100000000 bytes, found 18446744073709551615"));
  EXPECT_THAT(raw(std::string("\x40\0\0\0\0\0\0\0{}", 10)),
              HasSubstr("expected 64 bytes of JSON header, found 2"));
  EXPECT_THAT(error("[]", 0), HasSubstr("expected '{' to begin the JSON header, found '['"));
  EXPECT_THAT(error("{", 0), HasSubstr("expected valid JSON"));
  EXPECT_THAT(error("{\"a\xff\":1}", 0), HasSubstr("UTF-8"));
  EXPECT_THAT(error("{} {}", 0), HasSubstr("test.safetensors: JSON at byte"));
  EXPECT_THAT(error("{}", 4), HasSubstr("end of tensors at byte 10: expected the file to end here"));
  EXPECT_NO_THROW(read("{}    ", 0));
}

TEST(Safetensors, RejectsFieldsThatAreMissingTwiceOrOfAnotherType) {
  EXPECT_THAT(error(R"({"t":1})", 0), HasSubstr("tensor 't' at byte 10: expected an object, found a number"));
  EXPECT_THAT(error(R"({"t":{}})", 0), HasSubstr("found one missing"));
  EXPECT_THAT(error(R"({"t":{"dtype":"F32","dtype":"F32"}})", 0), HasSubstr("once each, found 'dtype'"));
  EXPECT_THAT(error(R"({"t":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1}})", 4),
              HasSubstr("found 'x'"));
  EXPECT_THAT(error(one("F33", "[1]", "[0,4]"), 4),
              HasSubstr("dtype of the safetensors specification, found 'F33'"));
  EXPECT_THAT(error(one("Q4_0", "[32]", "[0,18]"), 18), HasSubstr("found 'Q4_0'"));
  EXPECT_THAT(error(one("F32", "[-1]", "[0,4]"), 4), HasSubstr("integers of at least 0"));
  EXPECT_THAT(error(one("F32", "[1.5]", "[0,4]"), 4), HasSubstr("integers of at least 0"));
  EXPECT_THAT(error(one("F32", "4", "[0,4]"), 4), HasSubstr("expected an array, found a number"));
  EXPECT_THAT(error(one("F32", "[[1]]", "[0,4]"), 4), HasSubstr("integers of at least 0"));
  EXPECT_THAT(error(R"({"__metadata__":{"a":1}})", 0), HasSubstr("__metadata__ at byte"));
  EXPECT_THAT(error(R"({"__metadata__":{"a":"1","a":"2"}})", 0), HasSubstr("each key once"));
}

TEST(Safetensors, RejectsOffsetsThatLie) {
  EXPECT_NO_THROW(read(one("F32", "[2]", "[0,8]"), 8));
  EXPECT_THAT(error(one("F32", "[2]", "[8,0]"), 8),
              HasSubstr("expected data_offsets [begin, end], found [8, 0]"));
  EXPECT_THAT(error(one("F32", "[2]", "[0]"), 8), HasSubstr("found [0]"));
  EXPECT_THAT(error(one("F32", "[2]", "[0,4]"), 8),
              HasSubstr("expected 8 bytes for F32 [2], found data_offsets of 4"));
  EXPECT_THAT(error(one("F32", "[2]", "[0,8]"), 7),
              HasSubstr("tensor 't' at byte 10: expected a tensor within the file"));
  EXPECT_THAT(error(one("F32", "[2]", "[0,8]"), 9), HasSubstr("expected the file to end here"));
  EXPECT_THAT(error(one("F32", "[2]", "[4,12]"), 12), HasSubstr("without a hole"));
  EXPECT_THAT(error(one("F32", "[2]", "[18446744073709551608,18446744073709551616]"), 8),
              HasSubstr("tensor 't'"));
  EXPECT_THAT(error(one("F32", "[2]", "[18446744073709551607,18446744073709551615]"), 8),
              HasSubstr("does not fit"));
}

TEST(Safetensors, RejectsShapesThatWrap) {
  EXPECT_THAT(error(one("F32", "[4294967296,4294967296]", "[0,0]"), 0),
              HasSubstr("tensor 't' at byte 10: shape"));
  EXPECT_THAT(error(one("F32", "[4611686018427387904]", "[0,0]"), 0), HasSubstr("does not fit 64 bits"));
  EXPECT_THAT(error(one("F32", "[18446744073709551615]", "[0,0]"), 0), HasSubstr("above the largest size"));
  EXPECT_THAT(error(one("F32", "[1,1,1,1,1,1]", "[0,4]"), 4), HasSubstr("at most 5 dimensions, found 6"));
  EXPECT_THAT(error(one("F4", "[3]", "[0,2]"), 2), HasSubstr("multiple of 8, found 12"));
}

TEST(Safetensors, RejectsOverlapHolesAndDuplicates) {
  const auto two = [](std::string_view second, std::string_view offsets) {
    return fmt::format(R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},)"
                       R"("{}":{{"dtype":"U8","shape":[4],"data_offsets":{}}}}})",
                       second, offsets);
  };
  EXPECT_NO_THROW(read(two("b", "[4,8]"), 8));
  EXPECT_THAT(error(two("b", "[2,6]"), 6), HasSubstr("tensor 'b' at byte"));
  EXPECT_THAT(error(two("b", "[2,6]"), 6), HasSubstr("expected it to begin after tensor 'a' ends"));
  EXPECT_THAT(error(two("b", "[6,10]"), 10), HasSubstr("without a hole"));
  const auto files =
      std::vector{MappedFile::from_bytes("test.safetensors", with_length(two("a", "[4,8]"), 8))};
  EXPECT_THAT(error_of([&] { MappedWeights({}, files, read_safetensors_header(*files[0]).tensors); }),
              AllOf(HasSubstr("tensor 'a' at byte"), HasSubstr("expected one tensor of this name")));
}

TEST(Safetensors, TypesWithoutKernelsHarmOnlyWhoAsksForThem) {
  const auto files = std::vector{MappedFile::from_bytes(
      "test.safetensors", with_length(R"({"mask":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]},)"
                                      R"("w":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
                                      8))};
  const MappedWeights source({}, files, read_safetensors_header(*files[0]).tensors);
  EXPECT_EQ(source.load("w").bytes(), 4U);
  EXPECT_EQ(source.tensors().size(), 1U);
  EXPECT_THAT(
      error_of([&] { (void)source.load("mask"); }),
      HasSubstr(
          "test.safetensors: tensor 'mask' at byte 118: expected a type this build can run, found BOOL"));
}

TEST(Safetensors, ATensorAtAnOddPlaceIsReadThroughAnAlignedCopy) {
  for (std::size_t shift = 0; shift < 4; ++shift) {
    std::string header = one("F32", "[1]", "[0,4]") + std::string(shift, ' ');
    std::string bytes = with_length(header, 0);
    const float value = 3.25F;
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    const auto files = std::vector{MappedFile::from_bytes("test.safetensors", bytes)};
    const MappedWeights source({}, files, read_safetensors_header(*files[0]).tensors);
    const Tensor tensor = source.load("t");
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.raw()) % alignof(float), 0U);
    EXPECT_EQ(tensor.as<float>()[0], 3.25F);
  }
}

}  // namespace
}  // namespace tessera::formats
