#include "formats/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "base/checked_size.h"
#include "base/error.h"
#include "formats/byte_reader.h"
#include "formats/gguf_types.h"
#include "formats/mapped_weights.h"

namespace tessera::formats {
namespace {

constexpr std::uint64_t kLongestName =
    65535;  // of keys, by the specification; tensor names are held to the same
constexpr std::uint32_t kMostDimensions = 4;
constexpr std::uint64_t kLargestAlignment = 1 << 20;
// The least a key-value pair or a tensor can take: lengths, type, no name.
constexpr std::uint64_t kSmallestPair = 8 + 4 + 1;
constexpr std::uint64_t kSmallestTensor = 8 + 4 + 4 + 8;

// What one file holds.
struct GgufContent {
  Metadata metadata;
  std::vector<FoundTensor> tensors;
};

class GgufReader {
 public:
  GgufReader(const std::shared_ptr<const MappedFile>& file, std::size_t file_index)
      : file_(file),
        file_index_(file_index),
        reader_(file->path(), file->bytes()),
        metadata_(file->path(), file) {}

  GgufContent read() {
    read_version();
    const std::uint64_t tensor_count = reader_.read_count("tensors", kSmallestTensor);
    const std::uint64_t pair_count = reader_.read_count("key-value pairs", kSmallestPair);
    for (std::uint64_t i = 0; i < pair_count; ++i) read_pair(i);
    const std::uint64_t alignment = read_alignment();
    std::vector<FoundTensor> tensors;
    tensors.reserve(tensor_count);
    for (std::uint64_t i = 0; i < tensor_count; ++i) tensors.push_back(read_tensor_info(i));
    place_tensors(tensors, CheckedSize(reader_.offset(), "tensor data").aligned_to(alignment).value(),
                  alignment);
    sort_and_check_overlap(tensors);
    return {std::move(metadata_), std::move(tensors)};
  }

 private:
  void read_version() {
    const auto magic = reader_.take(kGgufMagic.size(), "magic");
    const std::string_view found(reinterpret_cast<const char*>(magic.data()), magic.size());
    if (found == "FUGG") reject_byte_order();
    if (found != kGgufMagic) {
      reader_.reject(0, fmt::format("expected the magic '{}', found '{}'", kGgufMagic, printable(found)));
    }
    const auto version = reader_.read<std::uint32_t>("version");
    if (version != 0 && (version & 0xffffU) == 0) reject_byte_order();
    if (version != 2 && version != kGgufVersion) {
      fail(ErrorKind::unsupported, "{}: header at byte 4: expected GGUF version 2 or 3, found {}",
           file_->path(), version);
    }
  }

  [[noreturn]] void reject_byte_order() const {
    fail(ErrorKind::unsupported,
         "{}: header at byte 0: expected a little-endian GGUF file, found a big-endian one; convert it with "
         "gguf_convert_endian",
         file_->path());
  }

  GgufValueType read_type(std::string_view what) {
    const std::uint64_t start = reader_.offset();
    const auto type = reader_.read<std::uint32_t>(what);
    if (type >= kGgufValueTypeCount) {
      reader_.reject(
          start, fmt::format("expected a {} from 0 to {}, found {}", what, kGgufValueTypeCount - 1, type));
    }
    return static_cast<GgufValueType>(type);
  }

  void read_pair(std::uint64_t index) {
    reader_.set_subject(fmt::format("key-value pair {}", index));
    const std::uint64_t start = reader_.offset();
    std::string key(reader_.read_string("key", kLongestName));
    reader_.set_subject(fmt::format("key '{}'", printable(key)));
    const GgufValueType type = read_type("value type");
    const std::uint64_t value_offset = reader_.offset();
    Metadata::Value value = type == GgufValueType::array ? read_array() : read_scalar(type);
    if (!metadata_.set(std::move(key), std::move(value), value_offset)) {
      reader_.reject(start, "expected each key once, found it again");
    }
  }

  std::int64_t read_integer(GgufValueType type) {
    switch (type) {
      case GgufValueType::u8:
        return reader_.read<std::uint8_t>("u8");
      case GgufValueType::i8:
        return reader_.read<std::int8_t>("i8");
      case GgufValueType::u16:
        return reader_.read<std::uint16_t>("u16");
      case GgufValueType::i16:
        return reader_.read<std::int16_t>("i16");
      case GgufValueType::u32:
        return reader_.read<std::uint32_t>("u32");
      case GgufValueType::i32:
        return reader_.read<std::int32_t>("i32");
      case GgufValueType::i64:
        return reader_.read<std::int64_t>("i64");
      default:
        break;
    }
    const std::uint64_t start = reader_.offset();
    const auto value = reader_.read<std::uint64_t>("u64");
    if (!std::in_range<std::int64_t>(value)) {
      reader_.reject(start, fmt::format("expected an integer below 2^63, found {}", value));
    }
    return static_cast<std::int64_t>(value);
  }

  double read_float(GgufValueType type) {
    return type == GgufValueType::f32 ? double{reader_.read<float>("f32")} : reader_.read<double>("f64");
  }

  bool read_bool() {
    const std::uint64_t start = reader_.offset();
    const auto value = reader_.read<std::uint8_t>("bool");
    if (value > 1) reader_.reject(start, fmt::format("expected a bool of 0 or 1, found {}", value));
    return value == 1;
  }

  Metadata::Value read_scalar(GgufValueType type) {
    switch (type) {
      case GgufValueType::boolean:
        return read_bool();
      case GgufValueType::string:
        return reader_.read_string("string");
      case GgufValueType::f32:
      case GgufValueType::f64:
        return read_float(type);
      default:
        return read_integer(type);
    }
  }

  Metadata::Value read_array() {
    const std::uint64_t start = reader_.offset();
    const GgufValueType type = read_type("element type");
    if (type == GgufValueType::array) {
      reader_.reject(start, "expected an array of plain values, found an array of arrays");
    }
    const std::uint64_t count =
        reader_.read_count(fmt::format("elements of type {}", name(type)), smallest_bytes(type));
    switch (type) {
      case GgufValueType::string:
        return read_elements<Metadata::StringArray>(count, [&] { return reader_.read_string("string"); });
      case GgufValueType::boolean:
        return read_elements<Metadata::BoolArray>(count, [&] { return read_bool(); });
      case GgufValueType::f32:
      case GgufValueType::f64:
        return read_elements<Metadata::FloatArray>(count, [&] { return read_float(type); });
      default:
        return read_elements<Metadata::IntegerArray>(count, [&] { return read_integer(type); });
    }
  }

  template <typename Array, typename ReadOne>
  static Array read_elements(std::uint64_t count, const ReadOne& read_one) {
    Array array;
    array.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) array.push_back(read_one());
    return array;
  }

  std::uint64_t read_alignment() const {
    const std::int64_t alignment =
        metadata_.find_int(kGgufAlignmentKey).value_or(static_cast<std::int64_t>(kGgufDefaultAlignment));
    const auto value = static_cast<std::uint64_t>(alignment);
    if (alignment < 8 || value > kLargestAlignment || !std::has_single_bit(value)) {
      fail(ErrorKind::bad_input, "{}: expected a power of two from 8 to {}, found {}",
           metadata_.where(kGgufAlignmentKey), kLargestAlignment, alignment);
    }
    return value;
  }

  // Leaves info.offset relative to the tensor data; place_tensors makes it absolute.
  FoundTensor read_tensor_info(std::uint64_t index) {
    reader_.set_subject(fmt::format("tensor {}", index));
    FoundTensor tensor;
    tensor.info.file = file_->path();
    tensor.file_index = file_index_;
    tensor.info.name = reader_.read_string("name", kLongestName);
    reader_.set_subject(fmt::format("tensor '{}'", printable(tensor.info.name)));
    tensor.info.shape = read_shape();
    const std::uint64_t type_offset = reader_.offset();
    const auto id = reader_.read<std::uint32_t>("type");
    const GgufTensorType* type = gguf_tensor_type(id);
    if (type == nullptr) {
      fail(ErrorKind::unsupported,
           "{}: tensor '{}' at byte {}: expected a known tensor type, found type id {}", file_->path(),
           printable(tensor.info.name), type_offset, id);
    }
    if (type->dtype) {
      tensor.info.dtype = *type->dtype;
    } else {
      tensor.unsupported_type = type->name;
    }
    tensor.info.bytes = bytes_of(tensor.info.shape, *type, type_offset);
    const std::uint64_t start = reader_.offset();
    tensor.info.offset = reader_.read<std::uint64_t>("offset");
    offset_fields_.push_back(start);
    return tensor;
  }

  Shape read_shape() {
    const std::uint64_t start = reader_.offset();
    const auto rank = reader_.read<std::uint32_t>("number of dimensions");
    if (rank > kMostDimensions) {
      reader_.reject(start, fmt::format("expected at most {} dimensions, found {}", kMostDimensions, rank));
    }
    std::array<std::int64_t, kMostDimensions> dimensions{};
    for (std::uint32_t i = 0; i < rank; ++i) {
      const std::uint64_t at = reader_.offset();
      const CheckedSize dimension(reader_.read<std::uint64_t>("dimension"), "dimension");
      dimensions.at(rank - 1 - i) = reader_.located(at, [&] { return dimension.as_dimension(); });
    }
    return reader_.located(start,
                           [&] { return Shape(std::span<const std::int64_t>(dimensions.data(), rank)); });
  }

  std::size_t bytes_of(const Shape& shape, const GgufTensorType& type, std::uint64_t type_offset) const {
    const std::int64_t columns = shape.rank() == 0 ? 1 : shape[-1];
    if (columns % type.block_elements != 0) {
      reader_.reject(type_offset, fmt::format("expected rows of a multiple of {} elements for {}, found {}",
                                              type.block_elements, type.name, columns));
    }
    const CheckedSize blocks(static_cast<std::uint64_t>(shape.elements() / type.block_elements),
                             "tensor size");
    return reader_.located(type_offset, [&] { return (blocks * type.block_bytes).value(); });
  }

  void place_tensors(std::vector<FoundTensor>& tensors, std::uint64_t data_begin, std::uint64_t alignment) {
    const std::uint64_t file_size = file_->bytes().size();
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      TensorInfo& info = tensors[i].info;
      reader_.set_subject(fmt::format("tensor '{}'", printable(info.name)));
      if (info.offset % alignment != 0) {
        reader_.reject(offset_fields_[i],
                       fmt::format("expected an offset that is a multiple of the alignment {}, "
                                   "found {}",
                                   alignment, info.offset));
      }
      const CheckedSize begin = reader_.located(
          offset_fields_[i], [&] { return CheckedSize(info.offset, "tensor offset") + data_begin; });
      const CheckedSize end = reader_.located(offset_fields_[i], [&] { return begin + info.bytes; });
      if (end.value() > file_size) {
        reader_.reject(offset_fields_[i],
                       fmt::format("expected a tensor within the file of {} bytes, found bytes {} "
                                   "to {}",
                                   file_size, begin.value(), end.value()));
      }
      info.offset = begin.value();
    }
  }

  std::shared_ptr<const MappedFile> file_;
  std::size_t file_index_;
  ByteReader reader_;
  Metadata metadata_;
  std::vector<std::uint64_t> offset_fields_;  // where each tensor's offset is written, for error lines
};

// Each part of a split model says which it is of how many; a whole file need not.
void check_part(const Metadata& metadata, std::size_t index, std::size_t count) {
  const auto stated_count = metadata.find_int("split.count").value_or(1);
  const auto stated_index = metadata.find_int("split.no").value_or(0);
  if (stated_count != static_cast<std::int64_t>(count)) {
    fail(ErrorKind::bad_input,
         "{}: expected a model of {} file{}, found part {} of {}; keep the parts' names "
         "(NAME-00001-of-00002.gguf) and open the first",
         metadata.where("split.count"), count, count == 1 ? "" : "s", stated_index + 1, stated_count);
  }
  if (stated_index != static_cast<std::int64_t>(index)) {
    fail(ErrorKind::bad_input, "{}: expected {}, found {}", metadata.where("split.no"), index, stated_index);
  }
}

}  // namespace

bool looks_like_gguf(std::span<const std::byte> bytes) {
  if (bytes.size() < kGgufMagic.size()) return false;
  const std::string_view magic(reinterpret_cast<const char*>(bytes.data()), kGgufMagic.size());
  return magic == kGgufMagic || magic == "FUGG";
}

std::shared_ptr<const WeightSource> open_gguf(const std::shared_ptr<const MappedFile>& file) {
  return open_gguf_parts({file});
}

std::shared_ptr<const WeightSource> open_gguf_parts(std::vector<std::shared_ptr<const MappedFile>> parts) {
  if (parts.empty()) fail(ErrorKind::internal, "open_gguf_parts: no files");
  GgufContent whole = GgufReader(parts.front(), 0).read();
  check_part(whole.metadata, 0, parts.size());
  for (std::size_t i = 1; i < parts.size(); ++i) {
    GgufContent part = GgufReader(parts[i], i).read();
    check_part(part.metadata, i, parts.size());
    std::ranges::move(part.tensors, std::back_inserter(whole.tensors));
  }
  std::string architecture(whole.metadata.require_string(kGgufArchitectureKey));
  return std::make_shared<MappedWeights>(
      MappedWeights::Description{
          NamingScheme::gguf, parts.front()->path(), std::move(architecture), std::move(whole.metadata), {}},
      std::move(parts), std::move(whole.tensors));
}

GgufValueType stored_value_type(const MappedFile& file, const Metadata::Entry& entry) {
  const bool array = std::holds_alternative<Metadata::StringArray>(entry.value) ||
                     std::holds_alternative<Metadata::IntegerArray>(entry.value) ||
                     std::holds_alternative<Metadata::FloatArray>(entry.value) ||
                     std::holds_alternative<Metadata::BoolArray>(entry.value);
  // A value's type stands right before it; an array begins with the type of its elements.
  const std::uint64_t at = array ? entry.offset : entry.offset - sizeof(std::uint32_t);
  std::uint32_t type = kGgufValueTypeCount;
  if (at < file.bytes().size() && file.bytes().size() - at >= sizeof(type)) {
    std::memcpy(&type, file.bytes().data() + at, sizeof(type));
  }
  if (type >= kGgufValueTypeCount) {
    fail(ErrorKind::io, "{}: the file has changed while it was read", file.path());
  }
  return static_cast<GgufValueType>(type);
}

}  // namespace tessera::formats
