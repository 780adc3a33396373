// Any bytes as a config.json: an Error or keys whose values can all be read.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "formats/hugging_face.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tessera;
  const auto file =
      MappedFile::from_bytes("config.json", std::string(reinterpret_cast<const char*>(data), size));
  try {
    const Metadata config = formats::read_hugging_face_config(file);
    std::size_t bytes = 0;
    for (const auto& [key, entry] : config.entries()) {
      if (const auto* text = std::get_if<std::string_view>(&entry.value)) bytes += text->size();
      if (entry.offset > size) std::abort();
    }
    if (bytes > size) std::abort();
  } catch (const Error& error) {
    const std::string_view line = error.what();
    if (line.find("config.json") == line.npos || line.find('\n') != line.npos) std::abort();
  }
  return 0;
}
