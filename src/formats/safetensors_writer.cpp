#include "formats/safetensors_writer.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/checked_size.h"
#include "base/error.h"
#include "formats/safetensors.h"

namespace tessera::formats {
namespace {

constexpr std::uint64_t kDataAlignment = 64;

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string header_text(const std::map<std::string, std::string>& metadata,
                        const std::vector<const TensorToWrite*>& tensors) {
  std::vector<std::string> fields;
  if (!metadata.empty()) {
    std::vector<std::string> entries;
    for (const auto& [key, value] : metadata) entries.push_back(json_string(key) + ":" + json_string(value));
    fields.push_back(fmt::format("\"__metadata__\":{{{}}}", fmt::join(entries, ",")));
  }
  CheckedSize offset(0, "tensor data");
  for (const TensorToWrite* tensor : tensors) {
    const CheckedSize end = offset + tensor_bytes(tensor->shape, tensor->dtype);
    fields.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                 json_string(tensor->name), safetensors_dtype_name(tensor->dtype),
                                 fmt::join(tensor->shape.dimensions(), ","), offset.value(), end.value()));
    offset = end;
  }
  return fmt::format("{{{}}}", fmt::join(fields, ","));
}

}  // namespace

void SafetensorsWriter::add_tensor(std::string name, const Tensor& tensor) {
  add_tensor({std::move(name), tensor.dtype(), tensor.shape(), [tensor] { return tensor; }});
}

void SafetensorsWriter::add_tensor(TensorToWrite tensor) {
  (void)safetensors_dtype_name(tensor.dtype);
  if (tensor.name == "__metadata__" || !names_.insert(tensor.name).second) {
    fail(ErrorKind::bad_usage, "safetensors: tensor '{}' is added twice or reserved", tensor.name);
  }
  tensors_.push_back(std::move(tensor));
}

std::vector<const TensorToWrite*> SafetensorsWriter::in_file_order() const {
  std::vector<const TensorToWrite*> order;
  for (const TensorToWrite& tensor : tensors_) order.push_back(&tensor);
  std::ranges::sort(order, [](const TensorToWrite* a, const TensorToWrite* b) {
    const std::size_t a_size = traits(a->dtype).block_bytes;
    const std::size_t b_size = traits(b->dtype).block_bytes;
    return a_size != b_size ? a_size > b_size
                            : a < b;  // both lie in one vector, in the order they were added
  });
  return order;
}

void SafetensorsWriter::send(const ByteSink& sink) const {
  const auto order = in_file_order();
  std::string header = header_text(metadata_, order);
  const std::uint64_t data_begin =
      CheckedSize(8 + header.size(), "header").aligned_to(kDataAlignment).value();
  header.resize(data_begin - 8, ' ');
  const std::uint64_t length = header.size();
  sink(std::as_bytes(std::span(&length, 1)));
  sink(std::as_bytes(std::span(header)));
  for (const TensorToWrite* tensor : order) write_tensor_bytes(*tensor, sink);
}

void SafetensorsWriter::write(const std::string& path) const {
  write_through_sink(path, [this](const ByteSink& sink) { send(sink); });
}

std::string SafetensorsWriter::bytes() const {
  std::string out;
  send([&out](std::span<const std::byte> part) {
    out.append(reinterpret_cast<const char*>(part.data()), part.size());
  });
  return out;
}

}  // namespace tessera::formats
