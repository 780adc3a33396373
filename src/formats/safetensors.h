// Reads safetensors files (https://github.com/huggingface/safetensors): 8 bytes of header length, a JSON
// header, then the tensors' bytes, mapped in place.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "formats/mapped_weights.h"

namespace tessera::formats {

inline constexpr std::uint64_t kSafetensorsHeaderLimit =
    100'000'000;  // bytes, as the reference reader has it

struct SafetensorsHeader {
  std::vector<FoundTensor> tensors;                          // by offset
  std::map<std::string, std::string, std::less<>> metadata;  // __metadata__
};

// Checks the whole header as the specification asks: every name once, known dtypes, offsets that agree with
// dtype and shape, no overlap, no hole, nothing after the last tensor. A dtype of the specification without
// kernels here (F8_E4M3, BOOL, F64, ...) is kept as an unsupported tensor: it harms only who asks for it.
// Error bad_input: FILE, tensor, byte offset, what was expected and found. `file_index` goes into each
// FoundTensor.
SafetensorsHeader read_safetensors_header(const MappedFile& file, std::size_t file_index = 0);

// The name safetensors uses for a dtype. Error unsupported for block-quantised ones.
std::string_view safetensors_dtype_name(DType dtype);

}  // namespace tessera::formats
