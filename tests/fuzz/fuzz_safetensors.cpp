// Any bytes as a safetensors file: an Error or tensors that cover exactly what follows the header.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  const auto file =
      MappedFile::from_bytes("fuzz.safetensors", std::string(reinterpret_cast<const char*>(data), size));
  try {
    const formats::SafetensorsHeader header = formats::read_safetensors_header(*file);
    std::uint64_t total = 0;
    for (const formats::FoundTensor& tensor : header.tensors) {
      if (tensor.info.offset + tensor.info.bytes > size) std::abort();
      if (tensor.unsupported_type.empty() &&
          tensor_bytes(tensor.info.shape, tensor.info.dtype) != tensor.info.bytes)
        std::abort();
      total += tensor.info.bytes;
    }
    if (total > size) std::abort();
  } catch (const Error& error) {
    const std::string_view line = error.what();
    if (line.find("fuzz.safetensors") == line.npos || line.find('\n') != line.npos) std::abort();
  }
  return 0;
}
