// Reads GGUF files (versions 2 and 3, little-endian): metadata and tensors stay in the mapping, nothing is
// copied but numbers of metadata arrays.
#pragma once
#include <memory>

#include "base/mapped_file.h"
#include "formats/gguf_types.h"
#include "tensor/weight_source.h"

namespace tessera::formats {

// True when the bytes begin like a GGUF file of either byte order.
bool looks_like_gguf(std::span<const std::byte> bytes);

// Strings and string arrays of the metadata, and the tensors, point into `file`. Dimensions come out in
// PyTorch order (GGUF stores the innermost first). A file without tensors (a vocabulary) is fine. Error
// bad_input: FILE, key or tensor, byte offset, what was expected and found; unsupported: another version or
// byte order. A tensor type the specification names but that has no kernels here is listed in
// unsupported_tensors().
std::shared_ptr<const WeightSource> open_gguf(const std::shared_ptr<const MappedFile>& file);

// The type under which `entry` of open_gguf()'s metadata is written in `file`: that of the value, or of an
// array's elements.
GgufValueType stored_value_type(const MappedFile& file, const Metadata::Entry& entry);

}  // namespace tessera::formats
