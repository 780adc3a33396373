#include "formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "describe_source.h"
#include "formats/gguf_types.h"
#include "formats/gguf_writer.h"
#include "support/error_of.h"

namespace tessera::formats {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;

// A float as Python's float.hex() writes it.
std::string python_hex(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.13a", value);
  return text;
}

struct ValueLines {
  std::string key;

  std::string one(bool value) const { return fmt::format("bool {}", value); }
  std::string one(std::int64_t value) const { return fmt::format("integer {}", value); }
  std::string one(double value) const { return "float " + python_hex(value); }
  std::string one(std::string_view value) const { return "string " + hex(std::as_bytes(std::span(value))); }

  std::string operator()(std::monostate) const { return "null"; }
  template <typename Value>
  std::string operator()(const Value& value) const {
    return fmt::format("key {} {}\n", key, one(value));
  }
  template <typename Element>
  std::string operator()(const std::vector<Element>& values) const {
    std::string text = fmt::format("key {} array {}\n", key, values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      text += fmt::format("key {}[{}] {}\n", key, i, one(static_cast<Element>(values[i])));
    }
    return text;
  }
};

std::multiset<std::string> lines_of(const std::string& text) {
  std::multiset<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.insert(line);
  return lines;
}

std::string describe(const WeightSource& source) {
  std::string text;
  for (const auto& [key, entry] : source.metadata().entries())
    text += std::visit(ValueLines{key}, entry.value);
  for (const TensorInfo& info : source.tensors()) {
    text += fmt::format("tensor {} {} {} at {} {}\n", info.name, name(info.dtype), info.shape.to_string(),
                        info.offset, hex(source.load(info.name)));
  }
  return text;
}

std::shared_ptr<const WeightSource> open_bytes(const std::string& bytes) {
  return open_gguf(MappedFile::from_bytes("test.gguf", bytes));
}

TEST(Gguf, ReadsWhatThePythonPackageWrote) {
  for (const char* file : {"small.gguf", "aligned.gguf"}) {
    const auto source = open_gguf(MappedFile::open(golden_path(file)));
    EXPECT_EQ(lines_of(describe(*source)), lines_of(golden_text(std::string(file) + ".txt"))) << file;
  }
}

TEST(Gguf, TensorsAndStringsAreWindowsOfTheFile) {
  const auto file = MappedFile::open(golden_path("small.gguf"));
  const auto source = open_gguf(file);
  const auto inside = [&](const void* address) {
    const auto* place = static_cast<const std::byte*>(address);
    return place >= file->bytes().data() && place <= file->bytes().data() + file->bytes().size();
  };
  for (const TensorInfo& info : source->tensors())
    EXPECT_TRUE(inside(source->load(info.name).raw())) << info.name;
  EXPECT_TRUE(inside(source->metadata().require_string("general.name").data()));
  for (const std::string_view text : *source->metadata().find_strings("test.strings"))
    EXPECT_TRUE(inside(text.data()));
}

TEST(Gguf, DimensionsAreReversedToPyTorchOrder) {
  GgufWriter writer("llama");
  writer.add_tensor("t", Tensor::from_values({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}));
  const auto source = open_bytes(writer.bytes());
  EXPECT_EQ(source->load("t").shape(), (Shape{2, 3}));
  EXPECT_EQ(source->load("t").as<float>()[3], 4.0F);
}

TEST(Gguf, WriterAndReaderAgreeOnEveryTypeAndAlignment) {
  for (const std::uint64_t alignment : {8U, 32U, 4096U}) {
    GgufWriter writer("test", alignment);
    writer.set("big", std::int64_t{1} << 40);
    writer.set("small", std::int64_t{-5}, GgufValueType::i8);
    writer.set("double", 0.1, GgufValueType::f64);
    writer.set("none", Metadata::StringArray{});
    writer.set("ints", Metadata::IntegerArray{-1, 1 << 20});
    for (std::size_t i = 0; i < kDTypeCount; ++i) {
      const auto dtype = static_cast<DType>(i);
      if (dtype == DType::u8) continue;
      Tensor tensor = Tensor::empty({3, 2, 256}, dtype);
      std::ranges::generate(std::span(tensor.mutable_raw(), tensor.bytes()),
                            [n = i]() mutable { return static_cast<std::byte>(n++ * 37); });
      writer.add_tensor(std::string(name(dtype)), tensor);
      writer.add_tensor(std::string(name(dtype)) + ".row", tensor.rows(1, 2).reshape({2, 256}));
    }
    const auto source = open_bytes(writer.bytes());
    EXPECT_EQ(source->metadata().require_int("big"), std::int64_t{1} << 40);
    EXPECT_EQ(source->metadata().require_int("small"), -5);
    EXPECT_EQ(source->metadata().require_float("double"), 0.1);
    EXPECT_EQ(source->metadata().find_strings("none")->size(), 0U);
    EXPECT_EQ(*source->metadata().find_ints("ints"), (Metadata::IntegerArray{-1, 1 << 20}));
    ASSERT_EQ(source->tensors().size(), 2 * (kDTypeCount - 1));
    for (const TensorInfo& info : source->tensors()) {
      EXPECT_EQ(info.offset % alignment, 0U);
      const Tensor whole = source->load(name(info.dtype));
      const Tensor row = source->load(std::string(name(info.dtype)) + ".row");
      EXPECT_EQ(hex(whole.rows(1, 2)), hex(row)) << info.name;
    }
  }
}

TEST(Gguf, WriterRefusesWhatCannotBeWritten) {
  GgufWriter writer("test");
  EXPECT_THAT(error_of([&] { writer.set("general.architecture", "again"); }), HasSubstr("set twice"));
  EXPECT_THAT(error_of([&] { writer.set("k", std::int64_t{300}, GgufValueType::u8); }), HasSubstr("300"));
  EXPECT_THAT(error_of([&] { writer.set("k", std::monostate{}); }), HasSubstr("null"));
  writer.add_tensor("t", Tensor::zeros({1}));
  EXPECT_THAT(error_of([&] { writer.add_tensor("t", Tensor::zeros({1})); }), HasSubstr("twice"));
  EXPECT_THAT(error_of([&] { writer.add_tensor("u", Tensor::zeros({1}, DType::u8)); }), HasSubstr("U8"));
  EXPECT_THAT(error_of([] { GgufWriter("test", 12); }), HasSubstr("power of two"));
}

// A GGUF file put together field by field, so that each can lie.
class RawGguf {
 public:
  explicit RawGguf(std::uint64_t tensors, std::uint64_t pairs, std::uint32_t version = 3) {
    bytes_ = "GGUF";
    number(version).number(tensors).number(pairs);
  }
  template <typename Number>
  RawGguf& number(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  RawGguf& text(std::string_view value) {
    number(std::uint64_t{value.size()});
    bytes_ += value;
    return *this;
  }
  RawGguf& architecture() { return text("general.architecture").number(8U).text("llama"); }
  RawGguf& tensor(std::string_view name, const std::vector<std::uint64_t>& dimensions, std::uint32_t type,
                  std::uint64_t offset) {
    text(name).number(static_cast<std::uint32_t>(dimensions.size()));
    for (const std::uint64_t dimension : dimensions) number(dimension);
    return number(type).number(offset);
  }
  RawGguf& data(std::size_t bytes) {
    bytes_.resize((bytes_.size() + 31) / 32 * 32 + bytes);
    return *this;
  }
  std::string error() const {
    return error_of([this] { open_bytes(bytes_); });
  }
  std::shared_ptr<const WeightSource> open() const { return open_bytes(bytes_); }

 private:
  std::string bytes_;
};

constexpr std::uint64_t kHuge = ~std::uint64_t{0};

TEST(Gguf, ReadsVersion2) { EXPECT_EQ(RawGguf(0, 1, 2).architecture().open()->architecture(), "llama"); }

TEST(Gguf, RejectsOtherVersionsByteOrdersAndFiles) {
  EXPECT_THAT(RawGguf(0, 0, 1).error(),
              HasSubstr("test.gguf: header at byte 4: expected GGUF version 2 or 3, found 1"));
  EXPECT_THAT(RawGguf(0, 0, 4).error(), HasSubstr("found 4"));
  EXPECT_THAT(RawGguf(0, 0, 0x03000000).error(), HasSubstr("big-endian"));
  EXPECT_THAT(error_of([] { open_bytes("FUGG\3\0\0\0"); }), HasSubstr("big-endian"));
  EXPECT_THAT(error_of([] { open_bytes("<html>"); }), HasSubstr("expected the magic 'GGUF', found '<htm'"));
  EXPECT_THAT(error_of([] { open_bytes(""); }), HasSubstr("test.gguf: header at byte 0"));
}

TEST(Gguf, RejectsCountsThatTheFileCannotHold) {
  EXPECT_THAT(RawGguf(kHuge, 0).error(), AllOf(HasSubstr("tensors"), HasSubstr("18446744073709551615")));
  EXPECT_THAT(RawGguf(0, kHuge).error(), HasSubstr("key-value pairs"));
  EXPECT_THAT(RawGguf(0, 1).number(std::uint64_t{1} << 63).data(64).error(),
              HasSubstr("key of at most 65535 bytes"));
  EXPECT_THAT(RawGguf(0, 1).text("k").number(8U).number(std::uint64_t{1} << 63).error(),
              HasSubstr("key 'k' at byte 45: expected 9223372036854775808 bytes of string, found 0 before"));
  for (std::uint32_t element = 0; element < kGgufValueTypeCount; ++element) {
    if (element == 9) continue;
    EXPECT_THAT(RawGguf(0, 1).text("k").number(9U).number(element).number(kHuge).data(64).error(),
                AllOf(HasSubstr("key 'k' at byte 41"), HasSubstr("elements")))
        << element;
  }
}

TEST(Gguf, RejectsValuesOfNoOrOtherTypes) {
  EXPECT_THAT(RawGguf(0, 1).text("k").number(13U).data(64).error(),
              HasSubstr("value type from 0 to 12, found 13"));
  EXPECT_THAT(RawGguf(0, 1).text("k").number(9U).number(9U).number(std::uint64_t{1}).data(64).error(),
              HasSubstr("array of arrays"));
  EXPECT_THAT(RawGguf(0, 1).text("k").number(7U).number(std::uint8_t{2}).error(),
              HasSubstr("bool of 0 or 1, found 2"));
  EXPECT_THAT(RawGguf(0, 1).text("k").number(10U).number(kHuge).error(), HasSubstr("below 2^63"));
  EXPECT_THAT(RawGguf(0, 2).architecture().architecture().error(), HasSubstr("expected each key once"));
  EXPECT_THAT(RawGguf(0, 0).error(), HasSubstr("general.architecture"));
  EXPECT_THAT(RawGguf(0, 1).text("general.architecture").number(4U).number(7U).error(),
              HasSubstr("expected a string, found an integer"));
}

TEST(Gguf, RejectsAlignmentsThatAreNone) {
  for (const std::int64_t alignment : {0LL, 1LL, 4LL, 12LL, 33LL, -32LL, 1LL << 31, 1LL << 62}) {
    const std::string error =
        RawGguf(0, 2).architecture().text("general.alignment").number(11U).number(alignment).error();
    EXPECT_THAT(error,
                HasSubstr(fmt::format("key 'general.alignment' at byte 98: expected a power of two from 8 to "
                                      "1048576, found {}",
                                      alignment)));
  }
}

TEST(Gguf, RejectsShapesThatWrap) {
  const auto error = [](const std::vector<std::uint64_t>& dimensions, std::uint32_t type = 0) {
    return RawGguf(1, 1).architecture().tensor("t", dimensions, type, 0).data(256).error();
  };
  const std::uint64_t half = std::uint64_t{1} << 32;
  EXPECT_THAT(error({half, half}),
              AllOf(HasSubstr("test.gguf: tensor 't' at byte"), HasSubstr("64 bits")));  // 2^64 = 0
  EXPECT_THAT(error({half, half, 4}), HasSubstr("tensor 't'"));
  EXPECT_THAT(error({kHuge}), HasSubstr("above the largest size"));
  EXPECT_THAT(error({std::uint64_t{1} << 63}), HasSubstr("above the largest size"));
  EXPECT_THAT(error({std::uint64_t{1} << 62}), HasSubstr("does not fit 64 bits"));  // x 4 bytes
  EXPECT_THAT(error({(std::uint64_t{1} << 61) + 1}),
              HasSubstr("expected a tensor within"));  // x 4 = 2^63 + 4
  EXPECT_THAT(error({1, 1, 1, 1, 1}), HasSubstr("expected at most 4 dimensions, found 5"));
  EXPECT_THAT(error({33}, 2), HasSubstr("rows of a multiple of 32 elements for Q4_0, found 33"));
}

TEST(Gguf, RejectsTensorsThatLieOutsideOrOverlap) {
  const auto open = [](std::uint64_t first, std::uint64_t second) {
    return RawGguf(2, 1).architecture().tensor("a", {8}, 0, first).tensor("b", {8}, 0, second).data(96);
  };
  EXPECT_EQ(open(0, 32).open()->tensors().size(), 2U);
  EXPECT_EQ(open(64, 0).open()->tensors().front().name, "b");  // any order, a gap
  EXPECT_THAT(open(0, 0).error(), HasSubstr("expected it to begin after tensor"));
  EXPECT_THAT(open(0, 16).error(), HasSubstr("multiple of the alignment 32, found 16"));
  EXPECT_THAT(open(0, 96).error(), HasSubstr("tensor 'b'"));
  EXPECT_THAT(open(0, kHuge - 31).error(), HasSubstr("does not fit 64 bits"));
  EXPECT_THAT(RawGguf(2, 1).architecture().tensor("a", {8}, 0, 0).tensor("a", {8}, 0, 32).data(96).error(),
              AllOf(HasSubstr("tensor 'a' at byte"), HasSubstr("found another")));
}

TEST(Gguf, NamesTensorTypesThatCannotBeRun) {
  EXPECT_THAT(RawGguf(1, 1).architecture().tensor("t", {256}, 77, 0).data(256).error(),
              AllOf(HasSubstr("tensor 't' at byte"), HasSubstr("type id 77")));
  const auto source =
      RawGguf(2, 1).architecture().tensor("iq", {256}, 16, 0).tensor("ok", {8}, 0, 96).data(128).open();
  ASSERT_EQ(source->unsupported_tensors().size(), 1U);
  EXPECT_EQ(source->unsupported_tensors().front().type, "IQ2_XXS");
  EXPECT_EQ(source->load("ok").bytes(), 32U);
  EXPECT_THAT(error_of([&] { source->find("iq"); }),
              HasSubstr("expected a type this build can run, found IQ2_XXS"));
  EXPECT_THAT(error_of([&] { source->load("none"); }), HasSubstr("'none': expected a tensor of this name"));
}

TEST(Gguf, ScalarsAndEmptyTensorsAreTensors) {
  const auto source =
      RawGguf(2, 1).architecture().tensor("s", {}, 0, 0).tensor("e", {0, 4}, 0, 32).data(32).open();
  EXPECT_EQ(source->load("s").elements(), 1);
  EXPECT_EQ(source->load("e").shape(), (Shape{4, 0}));
}

}  // namespace
}  // namespace tessera::formats
