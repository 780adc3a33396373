#include "formats/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <type_traits>

#include "base/checked_size.h"
#include "base/error.h"

namespace tessera::formats {
namespace {

template <typename Number>
void append(std::string& out, Number value) {
  static_assert(std::is_arithmetic_v<Number> && std::endian::native == std::endian::little);
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_string(std::string& out, std::string_view text) {
  append(out, std::uint64_t{text.size()});
  out += text;
}

template <typename Number>
void append_integer(std::string& out, std::int64_t value) {
  if (!std::in_range<Number>(value))
    fail(ErrorKind::bad_usage, "GGUF: {} does not fit the type asked for", value);
  append(out, static_cast<Number>(value));
}

void append_integer(std::string& out, std::int64_t value, GgufValueType type) {
  switch (type) {
    case GgufValueType::u8:
      return append_integer<std::uint8_t>(out, value);
    case GgufValueType::i8:
      return append_integer<std::int8_t>(out, value);
    case GgufValueType::u16:
      return append_integer<std::uint16_t>(out, value);
    case GgufValueType::i16:
      return append_integer<std::int16_t>(out, value);
    case GgufValueType::u32:
      return append_integer<std::uint32_t>(out, value);
    case GgufValueType::i32:
      return append_integer<std::int32_t>(out, value);
    case GgufValueType::u64:
      return append_integer<std::uint64_t>(out, value);
    case GgufValueType::i64:
      return append_integer<std::int64_t>(out, value);
    default:
      fail(ErrorKind::bad_usage, "GGUF: an integer cannot be written as {}", name(type));
  }
}

void append_float(std::string& out, double value, GgufValueType type) {
  if (type == GgufValueType::f64) return append(out, value);
  if (type == GgufValueType::f32) return append(out, static_cast<float>(value));
  fail(ErrorKind::bad_usage, "GGUF: a float cannot be written as {}", name(type));
}

// The narrowest of u32, i32, i64 that holds all values.
GgufValueType integer_type(std::span<const std::int64_t> values) {
  const auto fit = [&](auto kind) {
    return std::ranges::all_of(values,
                               [](std::int64_t value) { return std::in_range<decltype(kind)>(value); });
  };
  if (fit(std::uint32_t{})) return GgufValueType::u32;
  return fit(std::int32_t{}) ? GgufValueType::i32 : GgufValueType::i64;
}

void append_array_head(std::string& out, GgufValueType element, std::size_t count) {
  append(out, static_cast<std::uint32_t>(GgufValueType::array));
  append(out, static_cast<std::uint32_t>(element));
  append(out, std::uint64_t{count});
}

// Writes type and value of one pair; one overload for each kind of Metadata::Value.
struct ValueAppender {
  std::string& out;
  std::optional<GgufValueType> type;

  void head(GgufValueType actual) const { append(out, static_cast<std::uint32_t>(actual)); }

  void operator()(std::monostate) const { fail(ErrorKind::bad_usage, "GGUF: null cannot be written"); }
  void operator()(bool value) const {
    head(GgufValueType::boolean);
    append(out, std::uint8_t{value});
  }
  void operator()(std::int64_t value) const {
    const GgufValueType actual = type.value_or(integer_type(std::span(&value, 1)));
    head(actual);
    append_integer(out, value, actual);
  }
  void operator()(double value) const {
    const GgufValueType actual = type.value_or(GgufValueType::f32);
    head(actual);
    append_float(out, value, actual);
  }
  void operator()(std::string_view value) const {
    head(GgufValueType::string);
    append_string(out, value);
  }
  void operator()(const Metadata::StringArray& values) const {
    append_array_head(out, GgufValueType::string, values.size());
    for (const std::string_view value : values) append_string(out, value);
  }
  void operator()(const Metadata::BoolArray& values) const {
    append_array_head(out, GgufValueType::boolean, values.size());
    for (const bool value : values) append(out, std::uint8_t{value});
  }
  void operator()(const Metadata::IntegerArray& values) const {
    const GgufValueType actual = type.value_or(integer_type(values));
    append_array_head(out, actual, values.size());
    for (const std::int64_t value : values) append_integer(out, value, actual);
  }
  void operator()(const Metadata::FloatArray& values) const {
    const GgufValueType actual = type.value_or(GgufValueType::f32);
    append_array_head(out, actual, values.size());
    for (const double value : values) append_float(out, value, actual);
  }
};

}  // namespace

GgufWriter::GgufWriter(std::string_view architecture, std::uint64_t alignment) : alignment_(alignment) {
  if (alignment < 8 || !std::has_single_bit(alignment)) {
    fail(ErrorKind::bad_usage, "GGUF: expected a power of two of at least 8 as alignment, found {}",
         alignment);
  }
  set(kGgufArchitectureKey, architecture);
  if (alignment != kGgufDefaultAlignment) set(kGgufAlignmentKey, static_cast<std::int64_t>(alignment));
}

void GgufWriter::set(std::string_view key, const Metadata::Value& value, std::optional<GgufValueType> type) {
  if (keys_.contains(key)) fail(ErrorKind::bad_usage, "GGUF: key '{}' is set twice", key);
  std::string pair;
  append_string(pair, key);
  std::visit(ValueAppender{pair, type}, value);
  keys_.emplace(key);
  pairs_ += pair;
}

void GgufWriter::add_tensor(std::string name, const Tensor& tensor) {
  add_tensor({std::move(name), tensor.dtype(), tensor.shape(), [tensor] { return tensor; }});
}

void GgufWriter::add_tensor(TensorToWrite tensor) {
  (void)gguf_type_id(tensor.dtype);
  if (tensor.shape.rank() > 4) {
    fail(ErrorKind::bad_usage, "GGUF: tensor '{}': expected at most 4 dimensions, found {}", tensor.name,
         tensor.shape.to_string());
  }
  if (!names_.insert(tensor.name).second) {
    fail(ErrorKind::bad_usage, "GGUF: tensor '{}' is added twice", tensor.name);
  }
  tensors_.push_back(std::move(tensor));
}

std::string GgufWriter::header() const {
  std::string out(kGgufMagic);
  append(out, kGgufVersion);
  append(out, std::uint64_t{tensors_.size()});
  append(out, std::uint64_t{keys_.size()});
  out += pairs_;
  CheckedSize offset(0, "tensor data");
  for (const TensorToWrite& tensor : tensors_) {
    append_string(out, tensor.name);
    append(out, static_cast<std::uint32_t>(tensor.shape.rank()));
    for (int i = tensor.shape.rank() - 1; i >= 0; --i)
      append(out, static_cast<std::uint64_t>(tensor.shape[i]));
    append(out, gguf_type_id(tensor.dtype));
    append(out, offset.value());
    offset = (offset + tensor_bytes(tensor.shape, tensor.dtype)).aligned_to(alignment_);
  }
  return out;
}

void GgufWriter::send(const ByteSink& sink) const {
  std::uint64_t written = 0;
  const auto counted = [&](std::span<const std::byte> bytes) {
    sink(bytes);
    written += bytes.size();
  };
  const auto align = [&] {
    write_padding(CheckedSize(written).aligned_to(alignment_).value() - written, std::byte{0}, counted);
  };
  const std::string head = header();
  counted(std::as_bytes(std::span(head)));
  for (const TensorToWrite& tensor : tensors_) {
    align();
    write_tensor_bytes(tensor, counted);
  }
  align();
}

void GgufWriter::write(const std::string& path) const {
  write_through_sink(path, [this](const ByteSink& sink) { send(sink); });
}

std::string GgufWriter::bytes() const {
  std::string out;
  send([&out](std::span<const std::byte> part) {
    out.append(reinterpret_cast<const char*>(part.data()), part.size());
  });
  return out;
}

}  // namespace tessera::formats
