#include "formats/mapped_weights.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <tuple>

#include "base/error.h"

namespace tessera::formats {
namespace {

[[noreturn]] void reject_duplicate(const std::string& file, std::string_view name, std::uint64_t first,
                                   std::uint64_t second) {
  fail(ErrorKind::bad_input,
       "{}: tensor '{}' at byte {}: expected one tensor of this name, found another at byte {}", file,
       printable(name), second, first);
}

// The largest power of two an element of this type is read with.
std::size_t natural_alignment(DType dtype) {
  return traits(dtype).quantized ? sizeof(std::uint16_t) : traits(dtype).block_bytes;
}

Tensor aligned_copy(const std::byte* bytes, const TensorInfo& info) {
  Tensor copy = Tensor::empty(info.shape, info.dtype);
  std::memcpy(copy.mutable_raw(), bytes, info.bytes);
  return copy;
}

}  // namespace

MappedWeights::MappedWeights(Description description, std::vector<std::shared_ptr<const MappedFile>> files,
                             std::vector<FoundTensor> tensors)
    : description_(std::move(description)), files_(std::move(files)) {
  for (const auto& file : files_) storages_.push_back(Storage::borrow(file->bytes(), file));
  tensors_.reserve(tensors.size());
  file_of_.reserve(tensors.size());
  for (FoundTensor& tensor : tensors) {
    TensorInfo& info = tensor.info;
    if (tensor.unsupported_type.empty()) {
      tensors_.push_back(std::move(info));
      file_of_.push_back(tensor.file_index);
    } else {
      unsupported_.push_back({std::move(info.name), std::move(tensor.unsupported_type), info.shape,
                              std::move(info.file), info.offset, info.bytes});
    }
  }
  index_names();
}

void MappedWeights::index_names() {
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
  const auto name_of = [this](std::size_t index) -> const std::string& { return tensors_[index].name; };
  std::ranges::sort(by_name_, {},
                    [&](std::size_t index) { return std::pair(std::string_view(name_of(index)), index); });
  const auto twice = std::ranges::adjacent_find(by_name_, {}, name_of);
  if (twice != by_name_.end()) {
    const TensorInfo& second = tensors_[*std::next(twice)];
    reject_duplicate(second.file, second.name, tensors_[*twice].offset, second.offset);
  }
  std::ranges::sort(unsupported_, {}, [](const UnsupportedTensor& tensor) {
    return std::tuple(std::string_view(tensor.name), std::string_view(tensor.file), tensor.offset);
  });
  for (std::size_t i = 0; i < unsupported_.size(); ++i) {
    const UnsupportedTensor& tensor = unsupported_[i];
    const auto same = std::ranges::lower_bound(by_name_, tensor.name, {}, name_of);
    if (same != by_name_.end() && name_of(*same) == tensor.name) {
      reject_duplicate(tensor.file, tensor.name, tensors_[*same].offset, tensor.offset);
    }
    if (i > 0 && unsupported_[i - 1].name == tensor.name) {
      reject_duplicate(tensor.file, tensor.name, unsupported_[i - 1].offset, tensor.offset);
    }
  }
}

const TensorInfo* MappedWeights::find(std::string_view name) const {
  const auto name_of = [this](std::size_t index) -> std::string_view { return tensors_[index].name; };
  const auto found = std::ranges::lower_bound(by_name_, name, {}, name_of);
  if (found != by_name_.end() && name_of(*found) == name) return &tensors_[*found];
  const auto unsupported = std::ranges::lower_bound(unsupported_, name, {}, &UnsupportedTensor::name);
  if (unsupported != unsupported_.end() && unsupported->name == name) {
    fail(ErrorKind::unsupported, "{}: tensor '{}' at byte {}: expected a type this build can run, found {}",
         unsupported->file, printable(name), unsupported->offset, unsupported->type);
  }
  const auto alias = description_.aliases.find(name);
  if (alias != description_.aliases.end() && !description_.aliases.contains(alias->second))
    return find(alias->second);
  return nullptr;
}

Tensor MappedWeights::load(std::string_view name) const {
  const TensorInfo* info = find(name);
  if (info == nullptr) {
    fail(ErrorKind::bad_input, "{}: tensor '{}': expected a tensor of this name, found none", origin(),
         printable(name));
  }
  const std::size_t file = file_of_[static_cast<std::size_t>(info - tensors_.data())];
  files_[file]->check_not_shrunk();
  const std::byte* address = files_[file]->bytes().data() + info->offset;
  if (reinterpret_cast<std::uintptr_t>(address) % natural_alignment(info->dtype) != 0) {
    return aligned_copy(address, *info);
  }
  return Tensor::view(storages_[file], info->offset, info->shape, info->dtype);
}

void MappedWeights::done_with(const Tensor& tensor) const {
  for (std::size_t file = 0; file < files_.size(); ++file) {
    if (storages_[file] == tensor.storage()) files_[file]->forget(tensor.byte_offset(), tensor.bytes());
  }
}

void sort_and_check_overlap(std::vector<FoundTensor>& tensors) {
  std::ranges::sort(tensors, [](const FoundTensor& a, const FoundTensor& b) {
    return std::tuple(a.file_index, a.info.offset, a.info.bytes) <
           std::tuple(b.file_index, b.info.offset, b.info.bytes);
  });
  const FoundTensor* previous = nullptr;
  for (const FoundTensor& tensor : tensors) {
    if (tensor.info.bytes == 0) continue;
    if (previous != nullptr && previous->file_index == tensor.file_index &&
        tensor.info.offset < previous->info.offset + previous->info.bytes) {
      fail(ErrorKind::bad_input,
           "{}: tensor '{}' at byte {}: expected it to begin after tensor '{}' ends at byte {}",
           tensor.info.file, printable(tensor.info.name), tensor.info.offset, printable(previous->info.name),
           previous->info.offset + previous->info.bytes);
    }
    previous = &tensor;
  }
}

}  // namespace tessera::formats
