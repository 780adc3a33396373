#include "formats/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/checked_size.h"
#include "base/error.h"
#include "formats/byte_reader.h"
#include "formats/json_text.h"

namespace tessera::formats {
namespace {

using simdjson::ondemand::json_type;

struct SafetensorsType {
  std::string_view name;
  std::uint64_t bits;
  std::optional<DType> dtype;
};

constexpr std::array kTypes = std::to_array<SafetensorsType>({
    {"F32", 32, DType::f32},          {"F16", 16, DType::f16},      {"BF16", 16, DType::bf16},
    {"I32", 32, DType::i32},          {"I64", 64, DType::i64},      {"U8", 8, DType::u8},
    {"BOOL", 8, std::nullopt},        {"I8", 8, std::nullopt},      {"I16", 16, std::nullopt},
    {"U16", 16, std::nullopt},        {"U32", 32, std::nullopt},    {"U64", 64, std::nullopt},
    {"F64", 64, std::nullopt},        {"C64", 64, std::nullopt},    {"F8_E4M3", 8, std::nullopt},
    {"F8_E5M2", 8, std::nullopt},     {"F8_E8M0", 8, std::nullopt}, {"F6_E2M3", 6, std::nullopt},
    {"F6_E3M2", 6, std::nullopt},     {"F4", 4, std::nullopt},      {"F8_E4M3FNUZ", 8, std::nullopt},
    {"F8_E5M2FNUZ", 8, std::nullopt},
});

Shape to_shape(const std::vector<std::uint64_t>& sizes) {
  std::vector<std::int64_t> dimensions;
  for (const std::uint64_t size : sizes) dimensions.push_back(CheckedSize(size, "dimension").as_dimension());
  return Shape(dimensions);
}

std::uint64_t bytes_of(const Shape& shape, std::uint64_t bits_each) {
  const CheckedSize elements(static_cast<std::uint64_t>(shape.elements()), "tensor size in bits");
  return (elements * bits_each).divided_exactly_by(8).value();
}

class HeaderReader {
 public:
  HeaderReader(const MappedFile& file, std::size_t file_index, std::string_view text)
      : file_(file), file_index_(file_index), data_begin_(8 + text.size()), json_(file.path(), text, 8) {}

  SafetensorsHeader read() {
    json_.read_object([this](simdjson::ondemand::object root) {
      for (auto field : root) {
        const std::uint64_t offset = json_.offset_of(field.key().value().raw());
        const std::string name(std::string_view(field.unescaped_key()));
        if (name == "__metadata__") {
          read_metadata(field.value(), offset);
        } else {
          read_tensor(name, field.value(), offset);
        }
      }
    });
    sort_and_check_overlap(header_.tensors);
    check_no_holes();
    return std::move(header_);
  }

 private:
  void read_metadata(simdjson::ondemand::value value, std::uint64_t offset) {
    const std::string_view subject = "__metadata__";
    if (seen_metadata_) json_.reject(offset, "expected one __metadata__, found it again", subject);
    seen_metadata_ = true;
    json_.require(value.type(), json_type::object, offset, subject);
    for (auto field : value.get_object()) {
      const std::uint64_t at = json_.offset_of(field.key().value().raw());
      std::string key(std::string_view(field.unescaped_key()));
      json_.require(field.value().type(), json_type::string, at, subject);
      std::string text(std::string_view(field.value()));
      if (!header_.metadata.emplace(std::move(key), std::move(text)).second) {
        json_.reject(at, "expected each key once, found it again", subject);
      }
    }
  }

  // One tensor's "dtype", "shape" and "data_offsets"; other keys are an error, as in the reference reader.
  void read_tensor(const std::string& name, simdjson::ondemand::value value, std::uint64_t offset) {
    const std::string subject = fmt::format("tensor '{}'", printable(name));
    json_.require(value.type(), json_type::object, offset, subject);
    const SafetensorsType* type = nullptr;
    std::optional<std::vector<std::uint64_t>> shape;
    std::optional<std::vector<std::uint64_t>> offsets;
    for (auto field : value.get_object()) {
      const std::uint64_t at = json_.offset_of(field.key().value().raw());
      const std::string_view key = field.unescaped_key();
      if (key == "dtype" && type == nullptr) {
        type = read_dtype(field.value(), at, subject);
      } else if (key == "shape" && !shape) {
        shape = read_sizes(field.value(), at, subject);
      } else if (key == "data_offsets" && !offsets) {
        offsets = read_sizes(field.value(), at, subject);
      } else {
        json_.reject(
            at, fmt::format("expected dtype, shape and data_offsets once each, found '{}'", printable(key)),
            subject);
      }
    }
    if (type == nullptr || !shape || !offsets) {
      json_.reject(offset, "expected dtype, shape and data_offsets, found one missing", subject);
    }
    add_tensor(name, *type, *shape, *offsets, offset, subject);
  }

  const SafetensorsType* read_dtype(simdjson::ondemand::value value, std::uint64_t offset,
                                    std::string_view subject) {
    json_.require(value.type(), json_type::string, offset, subject);
    const std::string_view name = value.get_string();
    const auto found = std::ranges::find(kTypes, name, &SafetensorsType::name);
    if (found == kTypes.end()) {
      json_.reject(
          offset,
          fmt::format("expected a dtype of the safetensors specification, found '{}'", printable(name)),
          subject);
    }
    return &*found;
  }

  std::vector<std::uint64_t> read_sizes(simdjson::ondemand::value value, std::uint64_t offset,
                                        std::string_view subject) {
    json_.require(value.type(), json_type::array, offset, subject);
    std::vector<std::uint64_t> sizes;
    for (auto element : value.get_array()) {
      std::uint64_t size = 0;
      if (element.get_uint64().get(size) != simdjson::SUCCESS) {
        json_.reject(offset, "expected an array of integers of at least 0", subject);
      }
      sizes.push_back(size);
    }
    return sizes;
  }

  void add_tensor(const std::string& name, const SafetensorsType& type,
                  const std::vector<std::uint64_t>& shape, const std::vector<std::uint64_t>& offsets,
                  std::uint64_t offset, std::string_view subject) {
    FoundTensor tensor;
    tensor.info.shape = json_.located(offset, subject, [&] { return to_shape(shape); });
    const std::uint64_t bytes =
        json_.located(offset, subject, [&] { return bytes_of(tensor.info.shape, type.bits); });
    if (offsets.size() != 2 || offsets[0] > offsets[1]) {
      json_.reject(offset,
                   fmt::format("expected data_offsets [begin, end], found [{}]", fmt::join(offsets, ", ")),
                   subject);
    }
    if (offsets[1] - offsets[0] != bytes) {
      json_.reject(offset,
                   fmt::format("expected {} bytes for {} {}, found data_offsets of {} bytes", bytes,
                               type.name, tensor.info.shape.to_string(), offsets[1] - offsets[0]),
                   subject);
    }
    const std::uint64_t end = json_.located(
        offset, subject, [&] { return (CheckedSize(offsets[1], "data_offsets") + data_begin_).value(); });
    if (end > file_.bytes().size()) {
      json_.reject(offset,
                   fmt::format("expected a tensor within the file of {} bytes, found its end at byte {}",
                               file_.bytes().size(), end),
                   subject);
    }
    tensor.info.name = name;
    tensor.info.file = file_.path();
    tensor.info.offset = data_begin_ + offsets[0];
    tensor.info.bytes = bytes;
    tensor.file_index = file_index_;
    if (type.dtype) {
      tensor.info.dtype = *type.dtype;
    } else {
      tensor.unsupported_type = type.name;
    }
    header_.tensors.push_back(std::move(tensor));
  }

  void check_no_holes() const {
    std::uint64_t expected = data_begin_;
    for (const FoundTensor& tensor : header_.tensors) {
      if (tensor.info.offset != expected) {
        json_.reject(tensor.info.offset,
                     fmt::format("expected it to begin at byte {} without a hole", expected),
                     fmt::format("tensor '{}'", printable(tensor.info.name)));
      }
      expected += tensor.info.bytes;
    }
    if (expected != file_.bytes().size()) {
      json_.reject(expected,
                   fmt::format("expected the file to end here with its last tensor, found {} bytes in all",
                               file_.bytes().size()),
                   "end of tensors");
    }
  }

  const MappedFile& file_;
  std::size_t file_index_;
  std::uint64_t data_begin_;
  JsonText json_;
  SafetensorsHeader header_;
  bool seen_metadata_ = false;
};

}  // namespace

SafetensorsHeader read_safetensors_header(const MappedFile& file, std::size_t file_index) {
  ByteReader reader(file.path(), file.bytes());
  const auto length = reader.read<std::uint64_t>("header length");
  if (length > kSafetensorsHeaderLimit) {
    reader.reject(0, fmt::format("expected a header length of at most {} bytes, found {}",
                                 kSafetensorsHeaderLimit, length));
  }
  const auto header = reader.take(length, "JSON header");
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  if (!text.starts_with('{')) {
    reader.reject(
        8, fmt::format("expected '{{' to begin the JSON header, found '{}'", printable(text.substr(0, 1))));
  }
  return HeaderReader(file, file_index, text).read();
}

std::string_view safetensors_dtype_name(DType dtype) {
  const auto found = std::ranges::find(kTypes, std::optional<DType>(dtype), &SafetensorsType::dtype);
  if (found == kTypes.end()) fail(ErrorKind::unsupported, "safetensors has no dtype for {}", name(dtype));
  return found->name;
}

}  // namespace tessera::formats
