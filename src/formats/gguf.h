// Reads GGUF files (versions 2 and 3, little-endian): metadata and tensors stay in the mapping, nothing is
// copied but numbers of metadata arrays.
#pragma once
#include <memory>
#include <vector>

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

// The same for a model split into several files, in order (NAME-00001-of-00003.gguf, ...): the first brings
// the metadata, all bring tensors. Error bad_input also when a part says that it is another ("split.no",
// "split.count").
std::shared_ptr<const WeightSource> open_gguf_parts(std::vector<std::shared_ptr<const MappedFile>> parts);

// The type under which `entry` of open_gguf()'s metadata is written in `file`: that of the value, or of an
// array's elements.
GgufValueType stored_value_type(const MappedFile& file, const Metadata::Entry& entry);

}  // namespace tessera::formats
