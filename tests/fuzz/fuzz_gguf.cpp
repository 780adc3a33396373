// Any bytes as a GGUF file: an Error or a source whose every tensor lies within the file.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "formats/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  const auto file =
      MappedFile::from_bytes("fuzz.gguf", std::string(reinterpret_cast<const char*>(data), size));
  try {
    const auto source = formats::open_gguf(file);
    for (const TensorInfo& info : source->tensors()) {
      const Tensor tensor = source->load(info.name);
      if (tensor.bytes() != info.bytes || info.offset + info.bytes > size) std::abort();
      std::uint8_t sum = 0;  // touches every byte, so that the sanitizer sees a window that is too large
      for (std::size_t i = 0; i < tensor.bytes(); ++i)
        sum = static_cast<std::uint8_t>(sum + static_cast<std::uint8_t>(tensor.raw()[i]));
      volatile std::uint8_t keep = sum;
      (void)keep;
    }
  } catch (const Error& error) {
    const std::string_view line = error.what();
    if (line.find("fuzz.gguf") == line.npos || line.find('\n') != line.npos) std::abort();
  }
  return 0;
}
